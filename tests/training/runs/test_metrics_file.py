"""`metrics.csv` has a line per epoch, also after a training that went on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from keras_archs.training.runs.metrics_file import add_metrics, read_metrics
from keras_archs.training.tuning.history import EpochMetrics


def metrics(epoch: int) -> EpochMetrics:
    return EpochMetrics(epoch, 10 * epoch, 1.5 * epoch, 0.1 / 3, 0.5, 0.75, 1 / 3, 0.8)


def test_numbers_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    assert read_metrics(path) == ()
    for epoch in range(3):
        add_metrics(path, metrics(epoch))
    assert read_metrics(path) == tuple(map(metrics, range(3)))
    assert path.read_text().splitlines()[0] == (
        "epoch,step,seconds,learning_rate,loss,accuracy,validation_loss,validation_accuracy"
    )


def test_a_repeated_epoch_replaces_its_line_and_all_later_ones(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    for epoch in range(5):
        add_metrics(path, metrics(epoch))
    again = replace(metrics(3), loss=0.25)
    add_metrics(path, again)
    assert read_metrics(path) == (*map(metrics, range(3)), again)
    assert [entry.name for entry in tmp_path.iterdir()] == ["metrics.csv"]


def test_values_that_are_no_numbers_of_an_epoch_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    add_metrics(path, metrics(1))
    for damaged in (path.read_text() + "x,1\n", "epoch,loss\n1,2\n"):
        (tmp_path / "damaged.csv").write_text(damaged)
        with pytest.raises(ValueError, match=r"damaged\.csv is damaged: its columns are numbers named epoch, step"):
            read_metrics(tmp_path / "damaged.csv")


def test_a_loss_that_is_not_finite_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    add_metrics(path, replace(metrics(1), loss=float("inf")))
    assert read_metrics(path)[0].loss == float("inf")
