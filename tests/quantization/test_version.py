"""A quantized version: int8 for OpenVINO, float32 as before for everybody else, and a check of each."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from keras_archs.images.decoding import load_image
from keras_archs.repository import artifact, reference_answers
from keras_archs.repository.artifact import ArtifactError
from keras_archs.repository.checksums import checksums
from keras_archs.runtimes.loading import load_explainer, load_version, predict
from keras_archs.runtimes.openvino_runtime import OpenVinoRuntime
from keras_archs.runtimes.runtime import Runtime, Session
from keras_archs.runtimes.tensorflow_runtime import TensorFlowRuntime
from tests.support.quantizable import paint_colours

Images = NDArray[np.uint8]


def load(runtime: Runtime, version_dir: Path) -> Session:
    return load_version(runtime, version_dir, artifact.read_card(version_dir))


@pytest.fixture(scope="module")
def float32(repository: Path) -> Path:
    return repository / "colours" / "1"


@pytest.fixture(scope="module")
def int8(repository: Path) -> Path:
    return repository / "colours" / "2"


@pytest.fixture(scope="module")
def images(int8: Path, tmp_path_factory: pytest.TempPathFactory) -> Images:
    preprocessing = artifact.read_card(int8).preprocessing
    folder = paint_colours(tmp_path_factory.mktemp("others"), 30, seed=2)
    return np.stack([load_image(path, preprocessing) for path in sorted(folder.rglob("*.png"))])


@pytest.fixture
def copied(int8: Path, tmp_path: Path) -> Path:
    """A copy of the quantized version that a test may change."""
    return shutil.copytree(int8, tmp_path / "colours" / "2")


def test_openvino_computes_in_int8_and_answers_almost_as_in_float32(float32: Path, int8: Path, images: Images) -> None:
    exact, quantized = (load(OpenVinoRuntime(), version_dir) for version_dir in (float32, int8))
    assert (exact.arithmetic, quantized.arithmetic) == ("f32", "int8")
    expected, received = (predict(session, images) for session in (exact, quantized))
    assert not np.array_equal(expected, received)
    assert np.abs(expected - received).max() < 0.1
    assert (expected.argmax(axis=1) == received.argmax(axis=1)).all()


@pytest.mark.parametrize("precision", ["bf16", "auto"])
def test_the_precision_of_other_graphs_does_not_change_the_int8_graph(
    int8: Path, images: Images, precision: str
) -> None:
    expected, received = (
        predict(load(OpenVinoRuntime(precision=setting), int8), images)  # type: ignore[arg-type]
        for setting in ("f32", precision)
    )
    np.testing.assert_array_equal(expected, received)


def test_the_float32_graph_stays_as_it_was_for_tensorflow(float32: Path, int8: Path, images: Images) -> None:
    kept = [
        path.relative_to(float32) for path in float32.rglob("*") if path.is_file() and path.name != "model_card.json"
    ]
    assert kept
    for path in kept:
        assert (int8 / path).read_bytes() == (float32 / path).read_bytes()
    session = load(TensorFlowRuntime(), int8)
    assert session.arithmetic == "f32"
    np.testing.assert_array_equal(predict(session, images), predict(load(TensorFlowRuntime(), float32), images))


def test_explanations_are_those_of_the_float32_graph(float32: Path, int8: Path, images: Images) -> None:
    likeliest = np.array([artifact.LIKELIEST])
    explanations = []
    for version_dir in (float32, int8):
        session = load(OpenVinoRuntime(), version_dir)
        assert session.explainer_arithmetic == "f32"
        explanations.append(
            load_explainer(session, version_dir, artifact.read_card(version_dir))(images[:1], likeliest)
        )
    np.testing.assert_array_equal(explanations[0].maps, explanations[1].maps)


def test_the_card_says_how_int8_was_made_and_what_it_costs(float32: Path, int8: Path) -> None:
    card = artifact.read_card(int8)
    assert artifact.read_card(float32).quantization is None
    quantization = card.quantization
    assert quantization
    # the first convolution and the classifier stay in float32
    assert (quantization.source_version, quantization.layers, quantization.int8_layers) == (1, 5, 3)
    assert quantization.calibration.pictures == 120
    assert re.fullmatch("[0-9a-f]{64}", quantization.calibration.fingerprint)
    assert quantization.agreement.pictures == 100
    assert quantization.agreement.top1 >= 0.99
    assert 0 < quantization.agreement.mean_difference <= quantization.agreement.largest_difference < 0.1
    assert quantization.accuracy
    assert quantization.accuracy.pictures == 200
    assert quantization.accuracy.drop <= 1
    assert {"nncf", "openvino", "keras"} <= card.producer.keys()


@pytest.mark.parametrize("file", [artifact.INT8_GRAPH, artifact.INT8_WEIGHTS, artifact.INT8_ANSWERS])
def test_an_altered_int8_file_is_refused(copied: Path, file: Path) -> None:
    (copied / file).write_bytes((copied / file).read_bytes() + b" ")
    with pytest.raises(ArtifactError, match=f"{file.name} missing or altered"):
        load(OpenVinoRuntime(), copied)


def test_a_card_that_says_int8_must_name_the_checksums_of_the_graph(copied: Path) -> None:
    card = json.loads((copied / artifact.CARD).read_text())
    del card["checksums"][artifact.INT8_GRAPH.as_posix()]
    (copied / artifact.CARD).write_text(json.dumps(card))
    with pytest.raises(ArtifactError, match=r"says int8, but has no checksum of assets.extra/int8.xml"):
        load(OpenVinoRuntime(), copied)


def test_a_processor_that_computes_the_int8_graph_otherwise_answers_in_float32(
    copied: Path, float32: Path, images: Images, caplog: pytest.LogCaptureFixture
) -> None:
    answers = reference_answers.read(copied, artifact.read_card(copied), artifact.INT8_ANSWERS)
    assert answers
    turned = reference_answers.ReferenceAnswers(answers.images, np.roll(answers.probabilities, 1, axis=1))
    reference_answers.write(copied, turned, artifact.INT8_ANSWERS)
    artifact.write_card(copied, replace(artifact.read_card(copied), checksums=checksums(copied)))
    session = load(OpenVinoRuntime(), copied)
    assert session.arithmetic == "f32"
    np.testing.assert_array_equal(predict(session, images), predict(load(OpenVinoRuntime(), float32), images))
    assert "version 2 of colours does not compute in int8: in int8, the graph does not answer like" in caplog.text
