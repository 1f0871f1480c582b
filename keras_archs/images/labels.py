"""The classes that a model's outputs stand for."""

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
    """One class: what people call it and, where it is one of WordNet's synsets, the synset's id."""

    name: str
    wordnet_id: str | None = None


@cache
def imagenet_labels() -> tuple[Label, ...]:
    """Returns the 1,000 classes of ImageNet-1k in the order of the usual models' outputs; names are unique.

    The order is that of the WordNet ids. `imagenet_labels.tsv` beside this file says where the names come from.
    """
    text = resources.files("keras_archs.images").joinpath("imagenet_labels.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines() if not line.startswith("#"))
    return tuple(Label(name, wordnet_id) for wordnet_id, name in rows)


@dataclass(frozen=True)
class ClassScore:
    """One class of an answer. `wordnet_id` is None where the label has none; `score` is a probability."""

    index: int
    label: str
    wordnet_id: str | None
    score: float


def class_score(probabilities: NDArray[np.float32], labels: Sequence[Label], index: int) -> ClassScore:
    """Returns one of an image's classes."""
    return ClassScore(index, labels[index].name, labels[index].wordnet_id, float(probabilities[index]))


def best_classes(probabilities: NDArray[np.float32], labels: Sequence[Label], top_k: int) -> list[ClassScore]:
    """Returns the `top_k` likeliest of one image's classes, likeliest first; equal scores by index."""
    best = np.argsort(-probabilities, kind="stable")[:top_k]
    return [class_score(probabilities, labels, int(index)) for index in best]
