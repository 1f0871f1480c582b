"""Precision, recall and F1 of each class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_archs.training.evaluation.answers import Answers
from keras_archs.training.evaluation.confusion_matrix import confusion_matrix
from keras_archs.training.evaluation.proportion import Proportion


@dataclass(frozen=True)
class ClassScores:
    """How well the images of one class are found, and how far an answer of this class can be trusted."""

    index: int
    """Position of the class in the network's output."""
    precision: Proportion | None
    """Of the images that got this answer, those of the class; None if no image got the answer."""
    recall: Proportion | None
    """Of the images of the class, those that got this answer; None if no image is of the class."""

    @property
    def images(self) -> int:
        """Number of answered images of the class."""
        return 0 if self.recall is None else self.recall.total

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 0 to 1; 0 if either is 0 or undefined."""
        answered = 0 if self.precision is None else self.precision.total
        right = 0 if self.recall is None else self.recall.count
        return 2 * right / (answered + self.images)


def class_scores(answers: Answers) -> tuple[ClassScores, ...]:
    """Return the scores of each class that has an answered image or was an answer, by index."""
    counts = confusion_matrix(answers)
    right, images, answered = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    return tuple(
        ClassScores(index, _share(right[index], answered[index]), _share(right[index], images[index]))
        for index in map(int, np.flatnonzero(images + answered))
    )


def _share(count: np.int64, total: np.int64) -> Proportion | None:
    return Proportion(int(count), int(total)) if total else None
