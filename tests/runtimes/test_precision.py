"""The precision `auto` computes in bfloat16 where the processor has it and the answers stay close, and says why not."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from keras_archs.repository import artifact
from keras_archs.runtimes import openvino_runtime
from keras_archs.runtimes.loading import load_version
from keras_archs.runtimes.openvino_runtime import OpenVinoRuntime, OpenVinoSession, has_bfloat16
from keras_archs.runtimes.runtime import Precision
from keras_archs.runtimes.silent_openvino import ov
from tests.support.quantizable import publish_colours

HAS_BFLOAT16 = has_bfloat16(ov.Core())
needs_bfloat16 = pytest.mark.skipif(not HAS_BFLOAT16, reason="this processor has no bfloat16")


@pytest.fixture(scope="module")
def version_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish_colours(tmp_path_factory.mktemp("precision")).path


def load(version_dir: Path, precision: Precision) -> OpenVinoSession:
    session = load_version(OpenVinoRuntime(precision=precision), version_dir, artifact.read_card(version_dir))
    assert isinstance(session, OpenVinoSession)
    return session


@needs_bfloat16
def test_auto_computes_in_bfloat16_if_the_answers_stay_close(version_dir: Path) -> None:
    sessions = {precision: load(version_dir, precision) for precision in ("f32", "bf16", "auto")}
    assert {precision: session.arithmetic for precision, session in sessions.items()} == {
        "f32": "f32",
        "bf16": "bf16",
        "auto": "bf16",
    }
    image = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), np.uint8)
    answers = {precision: session.infer(image) for precision, session in sessions.items()}
    np.testing.assert_array_equal(answers["auto"], answers["bf16"])
    assert not np.array_equal(answers["auto"], answers["f32"])


@needs_bfloat16
def test_auto_computes_in_float32_if_an_answer_changes_and_logs_by_how_much(
    version_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(openvino_runtime, "AUTO_TOLERANCE", 1e-6)
    with caplog.at_level(logging.INFO, logger=openvino_runtime.__name__):
        session = load(version_dir, "auto")
    assert session.arithmetic == session.explainer_arithmetic == "f32"
    (message,) = (record.message for record in caplog.records)
    assert message.startswith("version 1 of colours computes in float32: in bf16, the graph does not answer like")
    assert "the difference may be at most" in message


@needs_bfloat16
def test_auto_computes_in_float32_without_reference_answers(
    version_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("keras_archs.repository.reference_answers.read", lambda *_: None)
    with caplog.at_level(logging.INFO, logger=openvino_runtime.__name__):
        assert load(version_dir, "auto").arithmetic == "f32"
    assert "it has no reference answers with which bf16 could be compared" in caplog.text


@pytest.mark.parametrize(("precision", "level"), [("auto", "INFO"), ("bf16", "WARNING")])
def test_a_processor_without_bfloat16_computes_in_float32(
    version_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    precision: Precision,
    level: str,
) -> None:
    core = ov.Core

    class OldProcessor(core):  # type: ignore[misc, valid-type]
        def get_property(self, device: str, name: str) -> list[str]:
            return ["FP32", "INT8"]

    monkeypatch.setattr(ov, "Core", OldProcessor)
    with caplog.at_level(logging.INFO, logger=openvino_runtime.__name__):
        assert load(version_dir, precision).arithmetic == "f32"
    assert [(record.levelname, record.message) for record in caplog.records] == [
        (level, "this CPU has no bfloat16: OpenVINO computes in float32")
    ]
