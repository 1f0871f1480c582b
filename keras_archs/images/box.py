"""A part of an image, whatever the number of its pixels."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """A part of an upright image, in fractions of its width and height from the upper left corner, 0 to 1.

    Raises:
        ValueError: If the box is empty or reaches outside the image.
    """

    left: float
    top: float
    right: float
    bottom: float

    def __post_init__(self) -> None:
        if not (0 <= self.left < self.right <= 1 and 0 <= self.top < self.bottom <= 1):
            raise ValueError(f"a box needs 0 <= left < right <= 1 and 0 <= top < bottom <= 1, got {self}")
