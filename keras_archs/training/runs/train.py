"""The part of a run that trains: from the data to the weights in `best.keras`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from keras_archs.training.data.dataset import Dataset, Split
from keras_archs.training.runs.config import RunConfig
from keras_archs.training.runs.metrics_file import add_metrics
from keras_archs.training.runs.run_folder import RunFolder
from keras_archs.training.runs.watch import Watch
from keras_archs.training.tuning.distributed import ALONE, Team
from keras_archs.training.tuning.history import EpochMetrics
from keras_archs.training.tuning.recipe import Recipe

if TYPE_CHECKING:
    import keras

    from keras_archs.training.data.labelled_images import LabelledImages
    from keras_archs.training.heads.features import Features

INTERRUPTED: Final = "interrupted"
"""Reason of a training that Ctrl-C ended."""
_SECONDS_OF_A_HEAD: Final = 30.0


@dataclass(frozen=True)
class Trained:
    """What a run has trained."""

    model: keras.Model
    """The network with its best weights."""
    stopped: str | None = None
    """Why training ended before its last epoch; None if it did not."""
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Why an image could not be read, by its path."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Duration of each phase of training, as far as it is measured."""
    features: Mapping[Split, NDArray[np.float32]] = field(default_factory=dict)
    """Features of the images from the frozen network, as far as training computed them."""


def train(config: RunConfig, folder: RunFolder, data: Dataset, watch: Watch, team: Team = ALONE) -> Trained:
    """Train the network of a run, from its last checkpoint on.

    Args:
        config: Configuration of the run.
        folder: Folder of the run.
        data: The data.
        watch: Is told how it goes on.
        team: The processes that train together.
    """
    if config.recipe is None:
        return _fit_head(config, data, watch)
    trained = _fine_tune(config, config.recipe, folder, data, watch, team)
    _check_classes(data, trained.unreadable)
    return trained


def _fit_head(config: RunConfig, data: Dataset, watch: Watch) -> Trained:
    from keras_archs.training.heads.fit_head import fit_head

    images = len(data.train.paths) + len(data.validation.paths)
    with watch.counting(f"Features of {config.network}", images) as on_progress:
        head = fit_head(
            data,
            config.choice,
            time_limit=config.time_limit or _SECONDS_OF_A_HEAD,
            seed=config.seed,
            on_progress=on_progress,
        )
    unreadable = _reasons(data.train, head.train_features) | _reasons(data.validation, head.validation_features)
    features: dict[Split, NDArray[np.float32]] = {
        "train": head.train_features.values,
        "validation": head.validation_features.values,
    }
    return Trained(head.model, None, unreadable, head.seconds, features)


def _reasons(images: LabelledImages, features: Features) -> dict[str, str]:
    return {images.paths[position]: reason for position, reason in features.unreadable.items()}


def _fine_tune(
    config: RunConfig, recipe: Recipe, folder: RunFolder, data: Dataset, watch: Watch, team: Team
) -> Trained:
    from keras_archs.training.tuning.fine_tune import fine_tune

    def on_epoch(metrics: EpochMetrics) -> None:
        if team.is_first:
            add_metrics(folder.metrics, metrics)
            watch.epoch(metrics)

    with watch.stepping() as on_step:
        tuned = fine_tune(
            data,
            config.choice,
            recipe=recipe,
            time_limit=config.time_limit,
            seed=config.seed,
            checkpoints=folder.checkpoints,
            on_epoch=on_epoch,
            on_step=on_step,
            callbacks=_callbacks(folder) if team.is_first else [],
            team=team,
        )
    return Trained(tuned.model, tuned.stopped, tuned.unreadable)


def _check_classes(data: Dataset, unreadable: Mapping[str, str]) -> None:
    """Refuse a network that has seen no image of a class: batches have other images in the place of unreadable ones."""
    readable = np.array([path not in unreadable for path in data.train.paths])
    seen = set(data.train.classes[readable].tolist())
    unseen = [name for index, name in enumerate(data.classes) if index not in seen]
    if unseen:
        raise ValueError(f"no training image of the classes {', '.join(map(repr, unseen))} can be read")


def _callbacks(folder: RunFolder) -> list[keras.callbacks.Callback]:
    """Return the callback that writes TensorBoard's events, if it is installed.

    It writes with TensorFlow, which would take the memory of the devices from another backend.
    """
    import keras

    if keras.backend.backend() != "tensorflow" or not find_spec("tensorboard"):
        return []
    return [keras.callbacks.TensorBoard(folder.events, write_graph=False)]
