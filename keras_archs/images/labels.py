"""Classes and scores: from a network's probabilities to names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

__all__ = ["ClassScore", "Label", "best_classes", "class_score", "imagenet_labels"]


@dataclass(frozen=True)
class Label:
    """Name of one class."""

    name: str
    wordnet_id: str | None = None
    """Id of the class in WordNet, e.g. ``"n01440764"``; None if the class is not a WordNet synset."""


@cache
def imagenet_labels() -> tuple[Label, ...]:
    """Return the 1,000 classes of ImageNet-1k in the order of a network's outputs.

    Published networks order the classes by WordNet id. Names are unique; `imagenet_labels.tsv` documents their source.
    """
    text = resources.files("keras_archs.images").joinpath("imagenet_labels.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines() if not line.startswith("#"))
    return tuple(Label(name, wordnet_id) for wordnet_id, name in rows)


@dataclass(frozen=True)
class ClassScore:
    """Probability of one class for one image."""

    index: int
    """Position of the class in the network's output."""
    label: str
    """Name of the class."""
    wordnet_id: str | None
    """Id of the class in WordNet; None if the label has no id."""
    score: float
    """Probability, 0 to 1."""


def class_score(probabilities: NDArray[np.float32], labels: Sequence[Label], index: int) -> ClassScore:
    """Return label and score of one class.

    Args:
        probabilities: Output of the network for one image, of shape (classes,).
        labels: Labels of all classes.
        index: Position of the class.
    """
    return ClassScore(index, labels[index].name, labels[index].wordnet_id, float(probabilities[index]))


def best_classes(probabilities: NDArray[np.float32], labels: Sequence[Label], top_k: int) -> list[ClassScore]:
    """Return the classes of highest probability, in descending order; equal probabilities by index.

    Args:
        probabilities: Output of the network for one image, of shape (classes,).
        labels: Labels of all classes.
        top_k: Number of classes to return; at least 1.
    """
    best = np.argsort(-probabilities, kind="stable")[:top_k]
    return [class_score(probabilities, labels, int(index)) for index in best]
