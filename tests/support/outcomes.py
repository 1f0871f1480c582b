"""The outcome of a training, made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from keras_archs.images.preprocessing import Preprocessing
from keras_archs.training.data.dataset import Dataset
from keras_archs.training.data.labelled_images import LabelledImages
from keras_archs.training.runs.outcome import Outcome
from keras_archs.training.tuning.history import EpochMetrics
from tests.support.answers import answers_of

CLASSES = ("cat", "dog", "owl")
TRAINING = [0, 0, 0, 1, 1, 1, 2, 2]
VALIDATION = [0, 0, 1, 1, 2, 2]
PREDICTED = [0, 0, 1, 0, 2, 0]
PROBABILITY = [0.9, 0.5, 0.8, 0.95, 0.7, 0.6]
"""One dog is taken for a cat with a probability of 95 %, one owl with 60 %."""

PREPROCESSING = Preprocessing(size=(8, 8), mean=(0, 0, 0), std=(1, 1, 1), crop_fraction=1.0)


def an_outcome(folder: Path, *, classes: Sequence[str] = CLASSES, **changes: Any) -> Outcome:
    """Return the outcome of a training on small images, which are written; `changes` are fields of the outcome."""
    train, validation = (_images(folder, *each) for each in (("train", TRAINING), ("validation", VALIDATION)))
    answers = answers_of(
        VALIDATION, PREDICTED, classes=classes, probability=PROBABILITY, root=folder, paths=validation.paths
    )
    fields: dict[str, Any] = {
        "name": "pets-1",
        "network": "a network",
        "method": "a head",
        "settings": {"seed": "0"},
        "data": Dataset("pets/", tuple(classes), train, validation),
        "preprocessing": PREPROCESSING,
        "validation": answers,
    }
    return Outcome(**fields | changes)


def epochs(count: int) -> list[EpochMetrics]:
    """Return a history whose validation loss is least at two thirds of the epochs."""
    return [
        EpochMetrics(
            epoch=epoch,
            step=10 * epoch,
            seconds=2.0 * epoch,
            learning_rate=0.01 / epoch,
            loss=1 / epoch,
            accuracy=1 - 0.5 / epoch,
            validation_loss=1 + abs(epoch - 2 * count // 3),
            validation_accuracy=0.5,
        )
        for epoch in range(1, count + 1)
    ]


def _images(folder: Path, split: str, classes: Sequence[int]) -> LabelledImages:
    paths = [f"{split}-{number}.png" for number in range(len(classes))]
    for number, path in enumerate(paths):
        Image.new("RGB", (8, 8), (25 * number, 80, 120)).save(folder / path)
    return LabelledImages(folder, paths, np.array(classes, np.int32))
