"""Both clients against a real gateway."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keras_archs.client import ImageLike, ProblemError, Quantization
from keras_archs.repository import artifact
from tests.support.gateway import running_gateway
from tests.support.quantizable import publish_quantized_colours

Connect = Callable[..., Any]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, constant_classifier: Callable[[Path, int], Path]) -> Iterator[str]:
    """A gateway with versions 1 and 2 of `tiny`."""
    folder = tmp_path_factory.mktemp("client")
    for version in (1, 2):
        constant_classifier(folder / "models", version)
    with running_gateway(folder / "models", folder / "log", "--preload", "tiny", "--max-body-mb", "1") as gateway:
        yield f"http://127.0.0.1:{gateway.port}"


def test_an_image_comes_in_any_form(connect: Connect, url: str, photographs: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "coffee.jpg"
    path.write_bytes(photographs["coffee"])
    with Image.open(path) as image:
        small = image.resize((64, 48))
    forms: list[ImageLike] = [path, str(path), photographs["coffee"], small, np.array(small), np.array(small)[:, :, 0]]
    answers = connect(url).classify(forms, "tiny")
    assert [answer.best.label for answer in answers] == ["two"] * len(forms)
    first = answers[0]
    assert (first.model, first.version, first.trained, first.multi_label) == ("tiny", 2, True, False)
    assert [score.index for score in first.scores] == [2, 0, 1]
    assert sum(score.score for score in first.scores) == pytest.approx(1)
    assert 0 < first.timing.decode + first.timing.inference < first.timing.total


def test_version_label_and_classes_are_chosen(connect: Connect, url: str, photographs: dict[str, bytes]) -> None:
    client = connect(url)
    answer = client.classify(photographs["coffee"], "tiny", version=1, top_k=1)
    assert (answer.version, [score.label for score in answer.scores]) == (1, ["one"])
    with pytest.raises(ProblemError) as unknown:
        client.classify(photographs["coffee"], "tiny", label="stable")
    assert (unknown.value.status, unknown.value.slug) == (404, "label-not-found")


@pytest.mark.parametrize(
    ("image", "options", "slug"),
    [
        (b"nonsense", {}, "invalid-image"),
        (b"", {}, "invalid-image"),
        (b"x" * 2_000_000, {}, "body-too-large"),
        (b"image", {"model": "huge"}, "model-not-found"),
        (b"image", {"version": 9}, "version-not-found"),
        (b"image", {"top_k": 0}, "invalid-parameter"),
    ],
)
def test_an_error_is_the_gateways_own(connect: Connect, url: str, image: bytes, options: Any, slug: str) -> None:
    with pytest.raises(ProblemError) as refused:
        connect(url).classify(image, **{"model": "tiny"} | options)
    assert refused.value.slug == slug
    assert len(refused.value.request_id) == 32


def test_a_batch_is_larger_than_a_request_may_be(connect: Connect, url: str) -> None:
    images = [np.full((32, 32, 3), number, np.uint8) for number in range(100)]
    answers = connect(url, max_bytes=10_000).classify(images, "tiny")
    assert len(answers) == 100


def test_an_explanation_has_a_map(connect: Connect, url: str, photographs: dict[str, bytes]) -> None:
    explanation = connect(url).explain(photographs["coffee"], "tiny", index=1)
    assert (explanation.explained.label, explanation.version) == ("one", 2)
    assert explanation.grid.shape == (32, 32)
    assert explanation.grid.dtype == np.float32
    assert explanation.input.size == (32, 32)


def test_models_and_their_versions_are_listed(connect: Connect, url: str) -> None:
    client = connect(url)
    assert client.ready()
    (listed,) = client.models()
    assert (listed.name, [version.version for version in listed.versions]) == ("tiny", [1, 2])
    details = client.model("tiny")
    assert details.versions == listed.versions
    assert (details.version, details.labels, details.explains) == (2, ("zero", "one", "two"), True)
    assert details.input.channels == 3
    with pytest.raises(ProblemError, match="no model 'huge'"):
        client.model("huge")


# arithmetic


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with `colours` in float32 as version 1, and quantized as version 2."""
    return publish_quantized_colours(tmp_path_factory.mktemp("quantized"))


@pytest.fixture(scope="module")
def url_of_quantized(tmp_path_factory: pytest.TempPathFactory, quantized: Path) -> Iterator[str]:
    """A gateway of the repository `quantized`, with version 2 loaded."""
    with running_gateway(quantized, tmp_path_factory.mktemp("log") / "log", "--preload", "colours") as gateway:
        yield f"http://127.0.0.1:{gateway.port}"


def test_an_answer_says_its_arithmetic(connect: Connect, url_of_quantized: str) -> None:
    client, green = connect(url_of_quantized), np.full((16, 16, 3), (0, 150, 0), np.uint8)
    for version, arithmetic in ((1, "f32"), (2, "int8")):
        answer = client.classify(green, "colours", version=version)
        assert (answer.best.label, answer.arithmetic) == ("green", arithmetic)
    assert client.explain(green, "colours", version=2).arithmetic == "f32"
    assert {version.version: version.arithmetic for version in client.model("colours").versions} == {
        1: "f32",
        2: "int8",
    }


def test_a_version_that_is_not_loaded_has_no_arithmetic(
    connect: Connect, tmp_path: Path, constant_classifier: Callable[[Path, int], Path]
) -> None:
    constant_classifier(tmp_path / "models", 1)
    with running_gateway(tmp_path / "models", tmp_path / "log") as gateway:
        ((version,),) = (model.versions for model in connect(f"http://127.0.0.1:{gateway.port}").models())
    assert (version.state, version.arithmetic) == ("idle", None)


def test_an_int8_version_says_what_was_measured(connect: Connect, url_of_quantized: str, quantized: Path) -> None:
    found = connect(url_of_quantized).model("colours").quantization
    assert isinstance(found, Quantization)
    assert found == artifact.read_card(quantized / "colours" / "2").quantization
    assert found.accuracy
    assert found.calibration.pictures == 120


def test_a_version_without_an_int8_graph_has_no_quantization(connect: Connect, url: str) -> None:
    assert connect(url).model("tiny").quantization is None
