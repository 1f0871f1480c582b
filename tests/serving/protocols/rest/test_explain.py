"""Explanations of networks that are not the usual ones: untrained, greyscale, for CIFAR, or with no maps at all."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keras_archs.repository import artifact
from tests.support.gateway import Gateway, running_gateway
from tests.support.images import encode

PICTURE = {"Accept": "image/png"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with `grey`, untrained, of one channel; and `flat`, which ends in no global average pooling."""
    import keras

    import keras_archs

    folder = tmp_path_factory.mktemp("explain")
    inputs = keras.Input((16, 24, 1))
    maps = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    for name, x in (("grey", keras.layers.GlobalAveragePooling2D()(maps)), ("flat", keras.layers.Flatten()(maps))):
        keras_archs.export_model(
            keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x)),
            folder / "models",
            name=name,
            preprocessing=keras_archs.Preprocessing((16, 24), (0,), (255,)),
            labels=["café", "猫"],
            allow_untrained=True,
        )
    with running_gateway(folder / "models", folder / "log") as running:
        yield running


@pytest.fixture(scope="module")
def image() -> bytes:
    return encode(np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8), "PNG")


def explain(gateway: Gateway, image: bytes, name: str, headers: dict[str, str] | None = None, **query: Any) -> Any:
    return gateway.client.post(f"/explain/{name}", content=image, headers=headers, params=query)


def test_untrained_weights_are_said_with_numbers_and_with_a_picture(gateway: Gateway, image: bytes) -> None:
    answer = explain(gateway, image, "grey").json()
    assert (answer["trained"], answer["weights"]) == (False, "none")
    assert explain(gateway, image, "grey", PICTURE).headers["X-Model-Trained"] == "false"


def test_greyscale_is_explained_in_colour(gateway: Gateway, image: bytes) -> None:
    answer = explain(gateway, image, "grey").json()
    assert np.shape(answer["grid"]) == (16, 24)
    assert answer["input"]["channels"] == 1
    picture = Image.open(io.BytesIO(explain(gateway, image, "grey", PICTURE).content))
    assert (picture.mode, picture.size) == ("RGB", (24, 16))


def test_a_label_in_a_header_is_percent_encoded(gateway: Gateway, image: bytes) -> None:
    for index, encoded in enumerate(("caf%C3%A9", "%E7%8C%AB")):
        response = explain(gateway, image, "grey", PICTURE, **{"class": index})
        assert response.headers["X-Class-Label"] == encoded


def test_a_network_without_maps_says_so(gateway: Gateway, image: bytes) -> None:
    response = explain(gateway, image, "flat")
    assert response.status_code == 422
    problem = response.json()
    assert problem["type"] == "urn:keras-archs:problem:explanation-unsupported"
    assert "version 1 of flat" in problem["detail"] and "global average pooling" in problem["detail"]
    assert gateway.client.get("/models/flat").json()["explain"] is None
    assert gateway.client.post("/classify/flat", content=image).is_success


def test_a_version_of_before_there_were_explanations_is_served_and_says_that_it_has_none(
    constant_classifier: Any, tmp_path: Path, image: bytes
) -> None:
    path = constant_classifier(tmp_path, 1) / artifact.CARD
    card = json.loads(path.read_text())
    del card["explains"]
    path.write_text(json.dumps(card))
    with running_gateway(tmp_path, tmp_path / "log") as gateway:
        assert gateway.client.post("/classify/tiny", content=image).is_success
        response = explain(gateway, image, "tiny")
        assert response.json()["type"] == "urn:keras-archs:problem:explanation-unsupported"
        assert "exported before" in response.json()["detail"]


def test_what_explains_is_loaded_when_something_is_to_be_explained(
    constant_classifier: Any, tmp_path: Path, image: bytes
) -> None:
    constant_classifier(tmp_path, 1)
    converted = tmp_path / ".cache"
    for _ in range(2):  # the second gateway finds what the first has converted
        with running_gateway(tmp_path, tmp_path / "log", "--preload", "tiny") as gateway:
            assert gateway.client.post("/classify/tiny", content=image).is_success
            before = {path.name: path.stat().st_mtime_ns for path in converted.iterdir()}
            assert "what explains" not in gateway.logged()
            assert explain(gateway, image, "tiny").is_success
            after = {path.name: path.stat().st_mtime_ns for path in converted.iterdir()}
            assert "loaded what explains version 1 of tiny" in gateway.logged()
            assert "libtensorflow" not in Path(f"/proc/{gateway.process.pid}/maps").read_text()
    assert before == after
    assert len([name for name in after if name.endswith(".xml")]) == 2
