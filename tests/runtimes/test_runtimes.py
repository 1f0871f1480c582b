"""The OpenVINO and the TensorFlow runtime give the same answers, also without a card."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from keras_archs.images.decoding import load_image
from keras_archs.repository import artifact
from keras_archs.repository.artifact import ArtifactError
from keras_archs.runtimes.loading import predict
from keras_archs.runtimes.local import installed_runtime, load_version
from keras_archs.runtimes.openvino_runtime import OpenVinoRuntime
from keras_archs.runtimes.runtime import Runtime
from keras_archs.runtimes.silent_openvino import ov
from keras_archs.runtimes.tensorflow_runtime import TensorFlowRuntime
from tests.support.fake_runtime import FakeRuntime, publish

Probabilities = NDArray[np.float32]


@pytest.fixture(scope="module")
def version_dir(lite0_repository: Path) -> Path:
    return lite0_repository / "efficientnet-lite0" / "1"


@pytest.fixture(scope="module")
def images(version_dir: Path, photographs: dict[str, bytes]) -> NDArray[np.uint8]:
    preprocessing = artifact.read_card(version_dir).preprocessing
    return np.stack([load_image(image, preprocessing) for image in photographs.values()])


def run(runtime: Runtime, version_dir: Path, images: NDArray[np.uint8]) -> Probabilities:
    return predict(load_version(runtime, version_dir, artifact.read_card(version_dir)), images)


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


def test_a_cached_conversion_gives_the_same_numbers(
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
    indices = np.array(classes, np.int64)
    parts = [
        explainer(images[start : start + step], indices[start : start + step]) for start in range(0, len(images), step)
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
        openvino_maps, scores = explain(OpenVinoRuntime(cache_dir=cache_dir), version_dir, images, classes)
        np.testing.assert_allclose(openvino_maps, maps, atol=1e-3 * float(np.ptp(maps)))
        np.testing.assert_allclose(scores, probabilities, atol=1e-3)


def test_the_default_signature_has_no_operations_of_explain(version_dir: Path) -> None:
    graph = ov.Core().read_model(version_dir)
    assert [output.names for output in graph.outputs] == [{"probabilities"}]
    assert [parameter.names for parameter in graph.inputs] == [{"images"}]
    assert {operation.get_type_name() for operation in graph.get_ops()}.isdisjoint({"Einsum", "Gather", "TopK"})


@pytest.mark.parametrize("runtime", [OpenVinoRuntime(), TensorFlowRuntime()])
def test_a_saved_model_without_a_card_can_be_compiled(
    runtime: OpenVinoRuntime | TensorFlowRuntime,
    version_dir: Path,
    images: NDArray[np.uint8],
    tensorflow_answers: Probabilities,
) -> None:
    infer = runtime.compile(version_dir, images.shape)
    for _ in range(2):
        np.testing.assert_allclose(infer(images), tensorflow_answers, atol=1e-3)


def test_an_answer_stays_as_it_was_after_the_next_inference(version_dir: Path, images: NDArray[np.uint8]) -> None:
    infer = OpenVinoRuntime().compile(version_dir, images[:1].shape)
    first = infer(images[:1])
    copy = first.copy()
    infer(images[1:2])
    np.testing.assert_array_equal(first, copy)


def test_openvino_is_preferred_and_tensorflow_the_alternative(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(installed_runtime(), OpenVinoRuntime)
    monkeypatch.setattr("keras_archs.runtimes.local.find_spec", lambda _: None)
    assert isinstance(installed_runtime(), TensorFlowRuntime)


@pytest.mark.parametrize("runtime", [OpenVinoRuntime(), TensorFlowRuntime()])
def test_a_graph_that_cannot_be_loaded_names_the_version(runtime: Runtime, tmp_path: Path) -> None:
    version_dir = publish(tmp_path, "net", 3)  # its graph is no graph
    with pytest.raises(ArtifactError, match="version 3 of 'net' cannot be loaded"):
        load_version(runtime, version_dir, artifact.read_card(version_dir))


def test_files_are_checked_before_they_are_loaded(tmp_path: Path) -> None:
    version_dir = publish(tmp_path, "net", 1)
    (version_dir / artifact.SAVED_MODEL).write_bytes(b"altered")
    runtime = FakeRuntime()
    with pytest.raises(ArtifactError, match="missing or altered"):
        load_version(runtime, version_dir, artifact.read_card(version_dir))
    assert runtime.loads == []


def test_predict_splits_images_into_batches(tmp_path: Path) -> None:
    version_dir = publish(tmp_path, "net", 7)
    session = load_version(FakeRuntime(), version_dir, artifact.read_card(version_dir))  # refuses more than 2
    probabilities = predict(session, np.zeros((5, 8, 8, 3), np.uint8))
    assert probabilities.shape == (5, 20)
    assert probabilities.argmax(axis=1).tolist() == [7] * 5


LIGHT = """
import sys
import keras_archs.runtimes.local, keras_archs.runtimes.runtime, keras_archs.runtimes.saved_model
assert not {"keras", "tensorflow", "openvino"} & set(sys.modules)
import keras_archs.runtimes.openvino_runtime
assert not {"keras", "tensorflow"} & set(sys.modules)
"""


def test_no_library_is_imported_before_its_runtime() -> None:
    subprocess.run([sys.executable, "-c", LIGHT], check=True)
