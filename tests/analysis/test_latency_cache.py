"""Latencies on disk: found under the same conditions only, and never a reason to stop."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from keras_archs.analysis.latency import Latency
from keras_archs.analysis.latency_cache import Conditions, LatencyCache, default_folder

CONDITIONS = Conditions(
    network="resnet-50",
    arguments={"stride_in_1x1": True},
    size=(224, 224),
    batch=1,
    threads=2,
    arithmetic="f32",
    processor="Some processor",
    openvino="2026.2",
    keras_archs="0.1.0",
)
LATENCY = Latency("openvino", 1, median=30.5, p25=30.1, p75=31.0, p90=33.2, waited=None)


def test_a_latency_is_found_under_the_same_conditions(tmp_path: Path) -> None:
    LatencyCache(tmp_path / "new").store(CONDITIONS, LATENCY)
    assert LatencyCache(tmp_path / "new").find(CONDITIONS) == LATENCY


@pytest.mark.parametrize(
    "other",
    [
        {"network": "resnet-101"},
        {"arguments": {}},
        {"size": (160, 160)},
        {"batch": 8},
        {"threads": 1},
        {"arithmetic": "bf16"},
        {"processor": "Another processor"},
        {"openvino": "2026.3"},
        {"keras_archs": "0.2.0"},
    ],
)
def test_a_latency_is_not_used_under_other_conditions(tmp_path: Path, other: dict[str, object]) -> None:
    cache = LatencyCache(tmp_path)
    cache.store(CONDITIONS, LATENCY)
    assert cache.find(replace(CONDITIONS, **other)) is None  # type: ignore[arg-type]


def test_a_new_latency_takes_the_place_of_the_old(tmp_path: Path) -> None:
    cache = LatencyCache(tmp_path)
    cache.store(CONDITIONS, replace(LATENCY, median=99))
    cache.store(CONDITIONS, LATENCY)
    assert cache.find(CONDITIONS) == LATENCY
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("damage", ["", "{}", "[]", '{"conditions": {}, "latency": {}}'])
def test_a_damaged_file_is_measured_again(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    cache = LatencyCache(tmp_path)
    cache.store(CONDITIONS, LATENCY)
    (path,) = tmp_path.iterdir()
    path.write_text(damage)
    with caplog.at_level(logging.WARNING):
        assert cache.find(CONDITIONS) is None
    assert "cannot be read and is measured again" in caplog.text
    cache.store(CONDITIONS, LATENCY)
    assert cache.find(CONDITIONS) == LATENCY


def test_a_folder_that_cannot_be_written_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    cache = LatencyCache(tmp_path / "file")
    with caplog.at_level(logging.WARNING):
        cache.store(CONDITIONS, LATENCY)
    assert "cannot be stored" in caplog.text
    assert cache.find(CONDITIONS) is None


def test_keras_folder_has_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "keras_archs" / "latencies"
