"""Classes and scores: from a network's probabilities to names."""

from __future__ import annotations

import reprlib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ClassScore",
    "Label",
    "LabelNames",
    "best_classes",
    "best_indices",
    "class_score",
    "imagenet_labels",
    "ordered_labels",
]

_BYTE_ORDER_MARK = "\ufeff"
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories of control characters, unpaired surrogates, and separators of lines and paragraphs."""


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


LabelNames: TypeAlias = Iterable[str | Label] | Mapping[str, int] | Mapping[int, str | Label]
"""Labels as people give them: in the order of a network's outputs, or with their indices."""


def ordered_labels(labels: LabelNames) -> tuple[Label, ...]:
    """Return the labels of a network's classes, in the order of its outputs.

    Args:
        labels: Names in the order of the outputs, or a mapping between names and indices, in either direction, such as
            Keras' `class_indices`. White space around a name and a byte order mark, which files leave, are removed.

    Raises:
        ValueError: The order is unknown, or a name is no text of one line, is empty, or occurs twice.
    """
    entries = _by_index(labels) if isinstance(labels, Mapping) else _in_order(labels)
    cleaned = tuple(_clean(entry if isinstance(entry, Label) else Label(entry)) for entry in entries)
    twice = [label.name for label, count in Counter(cleaned).items() if count > 1]
    if twice:
        raise ValueError(f"the names of classes must differ; given more than once: {reprlib.repr(twice)}")
    return cleaned


def _in_order(labels: Iterable[str | Label]) -> list[str | Label]:
    # a text is a sequence of letters, and a set has no order
    if isinstance(labels, str | bytes | set | frozenset) or not isinstance(labels, Iterable):
        raise ValueError(f"labels must be a list of names or a mapping from names to indices; got {_shown(labels)}")
    return list(labels)


def _by_index(labels: Mapping[str, int] | Mapping[int, str | Label]) -> list[str | Label]:
    given: Mapping[Any, Any] = labels
    named = {key: value for key, value in given.items() if not isinstance(key, Integral)}
    pairs = [(index, name) for name, index in named.items()] or list(given.items())
    if len(pairs) != len(labels) or not all(_is_index(index) for index, _ in pairs):
        raise ValueError(f"labels must map each name to an index or each index to a name; got {_shown(labels)}")
    by_index = {int(index): name for index, name in pairs}
    if sorted(by_index) != list(range(len(labels))):
        raise ValueError(
            f"the indices of {len(labels)} labels must be 0 to {len(labels) - 1}, each once; "
            f"got {_shown(sorted(int(index) for index, _ in pairs))}"
        )
    return [by_index[index] for index in range(len(labels))]


def _is_index(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _clean(label: Label) -> Label:
    """Return a label without what surrounds its name in a file."""
    if not isinstance(label.name, str):
        raise ValueError(f"a label must be a text; got {_shown(label.name)}")
    name = label.name.strip().strip(_BYTE_ORDER_MARK).strip()
    categories = {unicodedata.category(character) for character in name}
    if categories & _UNPRINTABLE or not any(category[0] not in "CZ" for category in categories):
        raise ValueError(f"a label must be one non-empty line without control characters; got {_shown(label.name)}")
    return replace(label, name=name)


def _shown(value: object) -> str:
    return f"{reprlib.repr(value)} ({type(value).__name__})"


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
    return [class_score(probabilities, labels, int(index)) for index in best_indices(probabilities, top_k)]


def best_indices(probabilities: NDArray[np.float32], top_k: int) -> NDArray[np.intp]:
    """Return the positions of the classes that `best_classes` returns, in the same order."""
    return np.argsort(-probabilities, kind="stable")[:top_k]
