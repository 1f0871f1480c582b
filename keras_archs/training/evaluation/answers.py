"""Answers of a network to images with known classes, and what they say: accuracy, by class too, and mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keras_archs.images.labels import Label
from keras_archs.training.data.labelled_images import LabelledImages
from keras_archs.training.evaluation.proportion import Proportion

UNREADABLE: Final = -1
"""In the place of a class or rank: the image could not be read."""


@dataclass(frozen=True)
class ClassResult:
    """Accuracy on the images of one class."""

    index: int
    """Position of the class in the network's output."""
    top1: Proportion
    top5: Proportion
    mistaken_for: int | None
    """The most frequent wrong answer; None if there was none."""
    mistakes: int
    """How often that wrong answer was given."""


class Confusion(NamedTuple):
    """A wrong answer that images of one class got."""

    right: int
    """Index of the right class."""
    predicted: int
    """Index of the wrong class."""
    images: int
    """How many images got it."""


@dataclass(frozen=True)
class Answers:
    """Answers to N images; images that could not be read have none and count neither as right nor as wrong."""

    labels: Sequence[Label]
    """Labels of the network's classes."""
    images: LabelledImages
    """The images and their classes."""
    predicted: NDArray[np.int32]
    """The likeliest class, [N]; `UNREADABLE` without an answer."""
    rank: NDArray[np.int32]
    """Number of classes that are likelier than the right one, [N]; `UNREADABLE` without an answer."""
    probability: NDArray[np.float32]
    """Probability of the likeliest class, [N]; 0 without an answer."""
    probability_of_right: NDArray[np.float32]
    """Probability of the right class, [N]; 0 without an answer."""
    unreadable: dict[int, str]
    """Why an image could not be read, by its position."""
    seconds: float
    """Time that decoding and classifying took."""

    def __post_init__(self) -> None:
        if not len(self._answered):
            index, reason = next(iter(self.unreadable.items()))
            raise ValueError(
                f"none of {len(self.rank):,} images could be read; the first: {self.images.paths[index]}: {reason}"
            )

    @cached_property
    def _answered(self) -> NDArray[np.intp]:
        return np.flatnonzero(self.rank != UNREADABLE)

    @property
    def top1(self) -> Proportion:
        """Images whose likeliest class is right."""
        return self._top(1)

    @property
    def top5(self) -> Proportion:
        """Images whose right class is among the five likeliest."""
        return self._top(5)

    @property
    def has_top5(self) -> bool:
        """Whether five classes are fewer than all, so that `top5` says something."""
        return len(self.labels) > 5

    def _top(self, k: int) -> Proportion:
        return Proportion(int(np.count_nonzero(self.rank[self._answered] < k)), len(self._answered))

    @cached_property
    def classes(self) -> tuple[ClassResult, ...]:
        """Results of each class that has an answered image, by index."""
        count = len(self.labels)
        right, rank = self.images.classes[self._answered], self.rank[self._answered]
        total = np.bincount(right, minlength=count)
        top1, top5 = (np.bincount(right[rank < k], minlength=count) for k in (1, 5))
        most_frequent: dict[int, Confusion] = {}
        for confusion in self.confusions:
            most_frequent.setdefault(confusion.right, confusion)
        return tuple(
            ClassResult(
                index,
                Proportion(int(top1[index]), int(total[index])),
                Proportion(int(top5[index]), int(total[index])),
                most_frequent[index].predicted if index in most_frequent else None,
                most_frequent[index].images if index in most_frequent else 0,
            )
            for index in map(int, np.flatnonzero(total))
        )

    @cached_property
    def confusions(self) -> tuple[Confusion, ...]:
        """All wrong answers by class, the most frequent first."""
        wrong = self._answered[self.rank[self._answered] > 0]
        pairs = self.images.classes[wrong].astype(np.int64) * len(self.labels) + self.predicted[wrong]
        codes, counts = np.unique(pairs, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return tuple(Confusion(*divmod(int(codes[place]), len(self.labels)), int(counts[place])) for place in order)

    def worst(self, limit: int) -> list[int]:
        """Return the positions of the images with the highest probability of a wrong class, at most `limit`."""
        wrong = self._answered[self.rank[self._answered] > 0]
        order = np.argsort(-self.probability[wrong], kind="stable")[:limit]
        return [int(index) for index in wrong[order]]

    def least_certain(self, limit: int) -> list[int]:
        """Return the positions of the images whose likeliest class has the lowest probability, at most `limit`."""
        order = np.argsort(self.probability[self._answered], kind="stable")[:limit]
        return [int(index) for index in self._answered[order]]
