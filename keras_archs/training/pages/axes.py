"""Axes of a chart as inline SVG, which takes its colours from the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Final

_TOLERANCE: Final = 1e-9


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return round values from the last at or below `low` to the first at or above `high`.

    Args:
        low: Lowest value.
        high: Highest value, at least `low`.
        most: Number of steps between the values at most, at least 2.
    """
    extent = high - low or abs(high) or 1.0
    power = 10.0 ** floor(log10(extent / most))
    for step in (power, 2 * power, 5 * power, 10 * power, 20 * power):
        first, last = floor(low / step + _TOLERANCE), ceil(high / step - _TOLERANCE)
        last = max(last, first + 1)
        if last - first <= most:
            break
    return [number * step for number in range(first, last + 1)]


@dataclass(frozen=True)
class Axes:
    """Where the values of a chart are; lengths are in units of the drawing, about a pixel each."""

    across: tuple[float, float]
    """Values at the left and at the right border."""
    up: tuple[float, float]
    """Values at the lower and at the upper border."""
    width: float
    """Width of the drawing."""
    height: float
    """Height of the drawing."""
    left: float = 44
    """Room for the labels of the values, up."""
    right: float = 16
    top: float = 16
    bottom: float = 40
    """Room for the labels of the values, across, and the title."""

    @property
    def borders(self) -> tuple[float, float, float, float]:
        """Left, top, right and lower border of the area of the values."""
        return self.left, self.top, self.width - self.right, self.height - self.bottom

    def x(self, value: float) -> float:
        """Return how far from the left a value is."""
        left, _, right, _ = self.borders
        low, high = self.across
        return left + (right - left) * (value - low) / (high - low)

    def y(self, value: float) -> float:
        """Return how far from the top a value is."""
        _, top, _, bottom = self.borders
        low, high = self.up
        return bottom - (bottom - top) * (value - low) / (high - low)

    def draw(
        self,
        across: Sequence[float],
        up: Sequence[float],
        *,
        title: str,
        across_text: Callable[[float], str],
        up_text: Callable[[float], str],
    ) -> str:
        """Return lines at values, with labels.

        Args:
            across: Values with a label below the chart.
            up: Values with a line and a label.
            title: Title of the axis across, as HTML.
            across_text: Returns the label of a value across, as HTML.
            up_text: Returns the label of a value, up, as HTML.
        """
        left, _, right, bottom = self.borders
        lines = "".join(
            f'<path class="grid" d="M{left:g} {self.y(value):.1f}H{right:g}"/>'
            f'<text x="{left - 8:g}" y="{self.y(value):.1f}" dy=".35em" text-anchor="end">{up_text(value)}</text>'
            for value in up
        )
        labels = "".join(
            f'<text x="{self.x(value):.1f}" y="{bottom + 16:g}" text-anchor="middle">{across_text(value)}</text>'
            for value in across
        )
        middle = (left + right) / 2
        return f'{lines}{labels}<text x="{middle:g}" y="{bottom + 34:g}" text-anchor="middle">{title}</text>'

    def svg(self, description: str, content: str) -> str:
        """Return the drawing as an element.

        Args:
            description: What the chart shows, for people who do not see it; plain text without quotes.
            content: Elements of the drawing.
        """
        return (
            f'<svg class="chart" viewBox="0 0 {self.width:g} {self.height:g}" role="img" aria-label="{description}">'
            f"\n{content}\n</svg>"
        )
