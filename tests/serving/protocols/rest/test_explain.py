"""Explanations of unusual networks: untrained, greyscale, or without class activation maps."""

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
    """A gateway with two untrained models of one channel: `grey`, and `flat`, which has no global average pooling."""
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


def test_numbers_and_picture_both_report_untrained_weights(gateway: Gateway, image: bytes) -> None:
    answer = explain(gateway, image, "grey").json()
    assert (answer["trained"], answer["weights"]) == (False, "none")
    assert explain(gateway, image, "grey", PICTURE).headers["X-Model-Trained"] == "false"


def test_the_overlay_of_a_greyscale_model_is_in_colour(gateway: Gateway, image: bytes) -> None:
    answer = explain(gateway, image, "grey").json()
    assert np.shape(answer["grid"]) == (16, 24)
    assert answer["input"]["channels"] == 1
    picture = Image.open(io.BytesIO(explain(gateway, image, "grey", PICTURE).content))
    assert (picture.mode, picture.size) == ("RGB", (24, 16))


def test_a_label_in_a_header_is_percent_encoded(gateway: Gateway, image: bytes) -> None:
    for index, encoded in enumerate(("caf%C3%A9", "%E7%8C%AB")):
        response = explain(gateway, image, "grey", PICTURE, **{"class": index})
        assert response.headers["X-Class-Label"] == encoded


def test_a_network_without_maps_is_explanation_unsupported(gateway: Gateway, image: bytes) -> None:
    response = explain(gateway, image, "flat")
    assert response.status_code == 422
    problem = response.json()
    assert problem["type"] == "urn:keras-archs:problem:explanation-unsupported"
    assert "version 1 of flat" in problem["detail"] and "global average pooling" in problem["detail"]
    assert gateway.client.get("/models/flat").json()["explain"] is None
    assert gateway.client.post("/classify/flat", content=image).is_success


def test_an_export_without_explanations_is_served_and_is_explanation_unsupported(
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


def test_the_explain_signature_is_loaded_on_first_use_and_cached(
    constant_classifier: Any, tmp_path: Path, image: bytes
) -> None:
    constant_classifier(tmp_path, 1)
    converted = tmp_path / ".cache"
    for _ in range(2):  # the second gateway uses the cache of the first
        with running_gateway(tmp_path, tmp_path / "log", "--preload", "tiny") as gateway:
            assert gateway.client.post("/classify/tiny", content=image).is_success
            before = {path.name: path.stat().st_ino for path in converted.iterdir()}
            assert "explain signature" not in gateway.logged()
            assert explain(gateway, image, "tiny").is_success
            after = {path.name: path.stat().st_ino for path in converted.iterdir()}
            assert "loaded the explain signature of version 1 of tiny" in gateway.logged()
            assert "libtensorflow" not in Path(f"/proc/{gateway.process.pid}/maps").read_text()
    assert before == after
    assert len([name for name in after if name.endswith(".xml")]) == 2
