"""Values of each epoch as lines, labelled where they end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Final

from keras_archs.training.pages.axes import Axes, ticks

WIDTH: Final = 360
HEIGHT: Final = 230
POINTS: Final = 300
"""Points of a line, of which more would not be seen apart."""

_LINE_HEIGHT: Final = 15
_ROOM_FOR_LABELS: Final = 84


@dataclass(frozen=True)
class Line:
    """A line of a chart."""

    label: str
    """Label at its end, as HTML."""
    kind: str
    """Class of the elements, for their style."""
    values: Sequence[float]
    """A value per position across; values that are no finite numbers leave a gap."""


def line_chart(
    across: Sequence[float],
    lines: Sequence[Line],
    *,
    description: str,
    title: str,
    limits: tuple[float | None, float | None],
    text: Callable[[float], str],
    tooltips: Sequence[str],
    mark: tuple[float, str] | None = None,
) -> str:
    """Return a chart.

    Args:
        across: Positions of the values, ascending whole numbers; at least one.
        lines: The lines; at least one.
        description: What the chart shows, for people who do not see it.
        title: Title of the axis across.
        limits: Lowest and highest value of the axis upwards; None for one that the values choose.
        text: Returns the label of a value, as HTML.
        tooltips: Text of each position, as HTML.
        mark: A position with its label, as HTML; None for no mark.
    """
    chosen = _chosen(across, mark)
    finite = [value for line in lines for value in line.values if isfinite(value)]
    low, high = (
        (min(finite, default=0.0) if limits[0] is None else limits[0]),
        (max(finite, default=1.0) if limits[1] is None else limits[1]),
    )
    up = ticks(low, high)
    labelled = len(lines) > 1
    axes = Axes(
        (across[0], max(across[-1], across[0] + 1)),
        (up[0], up[-1]),
        WIDTH,
        HEIGHT,
        right=_ROOM_FOR_LABELS if labelled else 16,
        top=24,
    )
    whole = [value for value in ticks(*axes.across, most=6) if value.is_integer() and value <= axes.across[1]]
    parts = [
        axes.draw(
            [value for value in whole if value >= axes.across[0]],
            up,
            title=title,
            across_text=lambda value: f"{value:.0f}",
            up_text=text,
        ),
        _mark(axes, *mark) if mark else "",
        *(_line(axes, line, [(across[place], line.values[place]) for place in chosen]) for line in lines),
        _labels(axes, lines) if labelled else "",
        _strips(axes, [(across[place], tooltips[place]) for place in chosen]),
    ]
    return axes.svg(description, "\n".join(filter(None, parts)))


def _chosen(across: Sequence[float], mark: tuple[float, str] | None) -> list[int]:
    """Return the places of the positions to draw: all, or evenly many, with the first, the last and the marked."""
    count = len(across)
    if count <= POINTS:
        return list(range(count))
    places = {round(number * (count - 1) / (POINTS - 1)) for number in range(POINTS)}
    if mark:
        places.add(across.index(mark[0]))
    return sorted(places)


def _line(axes: Axes, line: Line, points: Sequence[tuple[float, float]]) -> str:
    """Return a path per run of finite values; a value between gaps becomes a dot."""
    runs: list[list[str]] = [[]]
    for position, value in points:
        if isfinite(value):
            runs[-1].append(f"{axes.x(position):.1f} {axes.y(value):.1f}")
        elif runs[-1]:
            runs.append([])
    # a path to its own start is drawn as a dot, since the ends of the lines are round
    path = "".join("M" + "L".join(run if len(run) > 1 else run * 2) for run in runs if run)
    return f'<path class="line {line.kind}" d="{path}"/>' if path else ""


def _labels(axes: Axes, lines: Sequence[Line]) -> str:
    """Return the labels beside the ends of the lines, moved apart where they would overlap."""
    ends = [
        (axes.y(next(filter(isfinite, reversed(line.values)))), line)
        for line in lines
        if any(map(isfinite, line.values))
    ]
    ends.sort(key=lambda end: end[0])
    places = [place for place, _ in ends]
    for number in range(1, len(places)):
        places[number] = max(places[number], places[number - 1] + _LINE_HEIGHT)
    overlap = places[-1] - axes.borders[3] if places else 0
    left = axes.borders[2] + 8
    return "".join(
        f'<text class="{line.kind}" x="{left:g}" y="{place - max(overlap, 0):.1f}" dy=".35em">{line.label}</text>'
        for place, (_, line) in zip(places, ends, strict=True)
    )


def _mark(axes: Axes, position: float, label: str) -> str:
    left, top, right, bottom = axes.borders
    x = axes.x(position)
    anchor = "start" if x < left + 40 else "end" if x > right - 40 else "middle"
    return (
        f'<path class="mark" d="M{x:.1f} {top:g}V{bottom:g}"/>'
        f'<text x="{x:.1f}" y="{top - 8:g}" text-anchor="{anchor}">{label}</text>'
    )


def _strips(axes: Axes, tooltips: Sequence[tuple[float, str]]) -> str:
    """Return a transparent strip around each position, which shows its tooltip."""
    left, top, right, bottom = axes.borders
    middles = [(axes.x(first) + axes.x(second)) / 2 for (first, _), (second, _) in pairwise(tooltips)]
    edges = [left, *middles, right]
    return "".join(
        f'<rect class="strip" x="{start:.1f}" y="{top:g}" width="{end - start:.1f}" height="{bottom - top:g}">'
        f"<title>{tooltip}</title></rect>"
        for (start, end), (_, tooltip) in zip(pairwise(edges), tooltips, strict=True)
    )
