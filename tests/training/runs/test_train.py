"""The part of a run that trains: what is written on the way, and what comes of unreadable images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_archs.training.data.dataset import Dataset
from keras_archs.training.data.labelled_images import LabelledImages
from keras_archs.training.runs.config import RunConfig
from keras_archs.training.runs.metrics_file import read_metrics
from keras_archs.training.runs.run_folder import RunFolder
from keras_archs.training.runs.train import Trained, train
from keras_archs.training.tuning.distributed import Team
from keras_archs.training.tuning.fine_tune import FineTuned
from keras_archs.training.tuning.history import EpochMetrics
from keras_archs.training.tuning.recipes import RECIPES
from tests.support.listener import Listener
from tests.support.runs import a_config

CONFIG = a_config(method="fine-tune", recipe=RECIPES["fine-tune"], time_limit=60.0, seed=3)


class Second(Team):
    """A process that is not the first."""

    process = 1


@pytest.fixture
def data() -> Dataset:
    def images(*names: str) -> LabelledImages:
        classes = np.array([int(name.startswith("tulip")) for name in names], np.int32)
        return LabelledImages(Path("photos"), names, classes)

    return Dataset("photos", ("rose", "tulip"), images("rose/1", "rose/2", "tulip/1"), images("rose/3", "tulip/2"))


@pytest.fixture
def tuned(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Stands for `fine_tune`: ends after two epochs; returns the arguments, and takes unreadable images from here."""
    arguments: dict[str, Any] = {"unreadable": {}}

    def fine_tune(data: Dataset, network: object, *, on_epoch: Callable[[EpochMetrics], None], **given: Any) -> Any:
        for epoch in (1, 2):
            on_epoch(EpochMetrics(epoch, 10 * epoch, 1.0, 0.1, 0.5, 0.5, 0.5, 0.5))
        unreadable = arguments["unreadable"]
        arguments.update(given, network=network)
        return FineTuned(model="model", preprocessing=None, history=(), stopped=None, unreadable=unreadable)  # type: ignore[arg-type]

    monkeypatch.setattr("keras_archs.training.tuning.fine_tune.fine_tune", fine_tune)
    return arguments


def trained(tmp_path: Path, data: Dataset, config: RunConfig = CONFIG, **options: Any) -> tuple[Trained, RunFolder]:
    folder = RunFolder.create(tmp_path, config)
    return train(config, folder, data, Listener(), **options), folder


def test_each_epoch_has_a_line_and_is_told(tmp_path: Path, data: Dataset, tuned: dict[str, Any]) -> None:
    folder = RunFolder.create(tmp_path, CONFIG)
    listener = Listener()
    train(CONFIG, folder, data, listener)
    assert [metrics.epoch for metrics in read_metrics(folder.metrics)] == [1, 2]
    assert listener.told == ["epoch 1", "epoch 2"]


def test_the_configuration_is_what_is_trained(tmp_path: Path, data: Dataset, tuned: dict[str, Any]) -> None:
    _, folder = trained(tmp_path, data)
    assert (tuned["recipe"], tuned["time_limit"], tuned["seed"]) == (CONFIG.recipe, 60, 3)
    assert (tuned["network"], tuned["checkpoints"]) == (CONFIG.choice, folder.path / "checkpoint")
    assert [type(callback).__name__ for callback in tuned["callbacks"]] == ["TensorBoard"]


def test_processes_but_the_first_write_nothing(tmp_path: Path, data: Dataset, tuned: dict[str, Any]) -> None:
    _, folder = trained(tmp_path, data, team=Second())
    assert not folder.metrics.exists()
    assert tuned["callbacks"] == []


def test_unreadable_images_are_reported(tmp_path: Path, data: Dataset, tuned: dict[str, Any]) -> None:
    tuned["unreadable"] = {"rose/1": "It is damaged."}
    assert trained(tmp_path, data)[0].unreadable == {"rose/1": "It is damaged."}


def test_a_class_without_a_readable_image_is_refused(tmp_path: Path, data: Dataset, tuned: dict[str, Any]) -> None:
    tuned["unreadable"] = {"tulip/1": "It is damaged."}
    with pytest.raises(ValueError, match="no training image of the classes 'tulip' can be read"):
        trained(tmp_path, data)


def test_without_tensorboard_there_are_no_events(
    tmp_path: Path, data: Dataset, tuned: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keras_archs.training.runs.train.find_spec", lambda name: None)
    trained(tmp_path, data)
    assert tuned["callbacks"] == []
