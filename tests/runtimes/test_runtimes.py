"""The embedded engine's runtimes give the same answers, and the networks the reference gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from numpy.typing import NDArray

from keras_archs.images.preprocessing import load_image
from keras_archs.repository import artifact
from keras_archs.runtimes.openvino_runtime import OpenVinoRuntime
from keras_archs.runtimes.runtime import Runtime
from keras_archs.runtimes.tensorflow_runtime import TensorFlowRuntime
from tests.support.gateway import running_gateway

Probabilities = NDArray[np.float32]


@pytest.fixture(scope="module")
def version_dir(lite0_repository: Path) -> Path:
    return lite0_repository / "efficientnet-lite0" / "1"


@pytest.fixture(scope="module")
def images(version_dir: Path, photographs: dict[str, bytes]) -> NDArray[np.uint8]:
    preprocessing = artifact.read_card(version_dir).preprocessing
    return np.stack([load_image(image, preprocessing) for image in photographs.values()])


def run(runtime: Runtime, version_dir: Path, images: NDArray[np.uint8]) -> Probabilities:
    session = runtime.load(version_dir, artifact.read_card(version_dir))
    step = session.max_batch
    return np.concatenate([session.infer(images[start : start + step]) for start in range(0, len(images), step)])


@pytest.fixture(scope="module")
def tensorflow_answers(version_dir: Path, images: NDArray[np.uint8]) -> Probabilities:
    return run(TensorFlowRuntime(), version_dir, images)


@pytest.mark.parametrize(
    ("options", "tolerance"),
    [
        ({"precision": "f32"}, 1e-3),
        ({"precision": "f32", "streams": 2}, 1e-3),
        ({"precision": "bf16"}, 0.05),
        ({"precision": "auto"}, 0.05),
    ],
)
def test_openvino_agrees_with_tensorflow(
    version_dir: Path,
    images: NDArray[np.uint8],
    tensorflow_answers: Probabilities,
    options: dict[str, Any],
    tolerance: float,
) -> None:
    answers = run(OpenVinoRuntime(**options), version_dir, images)
    assert answers.dtype == np.float32
    assert (answers.argmax(axis=1) == tensorflow_answers.argmax(axis=1)).all()
    assert np.abs(answers - tensorflow_answers).max() < tolerance


def test_the_cached_conversion_gives_the_same_numbers(
    version_dir: Path, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    converted, cached = (run(OpenVinoRuntime(cache_dir=tmp_path), version_dir, images) for _ in range(2))
    np.testing.assert_array_equal(converted, cached)
    assert list(tmp_path.glob("*.xml"))


def explain(
    runtime: Runtime, version_dir: Path, images: NDArray[np.uint8], classes: list[int]
) -> list[NDArray[np.float32]]:
    session = runtime.load(version_dir, artifact.read_card(version_dir))
    explainer = session.explainer()
    step = session.max_batch
    wanted = np.array(classes, np.int64)
    parts = [
        explainer(images[start : start + step], wanted[start : start + step]) for start in range(0, len(images), step)
    ]
    assert np.concatenate([part.chosen for part in parts])[1:].tolist() == classes[1:]
    return [np.concatenate([part.maps for part in parts]), np.concatenate([part.probabilities for part in parts])]


def test_openvino_explains_as_tensorflow_does(
    version_dir: Path, images: NDArray[np.uint8], tensorflow_answers: Probabilities, tmp_path: Path
) -> None:
    classes = [artifact.LIKELIEST, 285, 3]
    maps, probabilities = explain(TensorFlowRuntime(), version_dir, images, classes)
    np.testing.assert_allclose(probabilities, tensorflow_answers, atol=1e-5)
    for cache_dir in (None, tmp_path, tmp_path):
        found, scores = explain(OpenVinoRuntime(cache_dir=cache_dir), version_dir, images, classes)
        np.testing.assert_allclose(found, maps, atol=1e-3 * float(np.ptp(maps)))
        np.testing.assert_allclose(scores, probabilities, atol=1e-3)


def test_what_classifies_holds_nothing_of_what_explains(version_dir: Path) -> None:
    graph = ov.Core().read_model(version_dir)
    assert [output.names for output in graph.outputs] == [{"probabilities"}]
    assert [parameter.names for parameter in graph.inputs] == [{"images"}]
    assert {operation.get_type_name() for operation in graph.get_ops()}.isdisjoint({"Einsum", "Gather", "TopK"})


def test_the_gateway_runs_on_tensorflow_by_choice(
    lite0_repository: Path, tmp_path: Path, photographs: dict[str, bytes], tensorflow_answers: Probabilities
) -> None:
    flags = ("--runtime", "tensorflow", "--preload", "efficientnet-lite0")
    with running_gateway(lite0_repository, tmp_path / "log", *flags) as gateway:
        answer = gateway.client.post("/classify/efficientnet-lite0", files=list(photographs.items())).json()
    best = [scores[0] for scores in answer["images"]]
    assert [one["index"] for one in best] == tensorflow_answers.argmax(axis=1).tolist()
    np.testing.assert_allclose([one["score"] for one in best], tensorflow_answers.max(axis=1), atol=1e-3)
