"""A share of images, with the uncertainty that their number leaves."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Final

CONFIDENCE: Final = 0.95
_Z: Final = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


@dataclass(frozen=True)
class Proportion:
    """How many of a number of images have a property."""

    count: int
    """Images with the property, 0 to `total`."""
    total: int
    """All images, at least 1."""

    @property
    def value(self) -> float:
        """The share, 0 to 1."""
        return self.count / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's score interval of 95 % confidence, within 0 to 1.

        Unlike the interval of the normal approximation, it has no width of 0 when all images or none have the property
        (Wilson 1927; Brown, Cai and DasGupta 2001).
        """
        centre = (self.count + _Z**2 / 2) / (self.total + _Z**2)
        half = _Z / (self.total + _Z**2) * sqrt(self.count * (self.total - self.count) / self.total + _Z**2 / 4)
        # the exact bounds of no and of all images, which rounding would miss
        low = 0.0 if self.count == 0 else centre - half
        high = 1.0 if self.count == self.total else centre + half
        return low, high

    def place(self, value: float) -> str:
        """Return where a value, 0 to 1, lies: "inside", "above" or "below" the interval."""
        low, high = self.interval
        return "above" if value > high else "below" if value < low else "inside"
