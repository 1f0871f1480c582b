"""Rows of the table: what is known of each image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Answer:
    """What the version says of an image."""

    classes: NDArray[np.int32]
    """The classes of highest probability, best first."""
    scores: NDArray[np.float32]
    """Their probabilities."""
    embedding: NDArray[np.float32] | None = None
    """Input of the last dense layer; None if it is not wanted."""


@dataclass(frozen=True)
class Row:
    """What is known of an image."""

    path: str
    width: int | None = None
    """Width of the upright image, in pixels; None if the header could not be read."""
    height: int | None = None
    answer: Answer | None = None
    error: str | None = None
    """Why there is no answer; None if there is one."""
    unread: bool = False
    """Whether the file could not be read, which says nothing about the image."""
