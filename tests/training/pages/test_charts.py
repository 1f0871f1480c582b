"""Charts have round ticks, keep to their borders, and draw what is a number."""

from __future__ import annotations

import re
from math import inf, nan
from xml.etree import ElementTree

import pytest

from keras_archs.training.pages.axes import Axes, ticks
from keras_archs.training.pages.line_chart import HEIGHT, POINTS, WIDTH, Line, line_chart


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 2.31, [0, 0.5, 1, 1.5, 2, 2.5]),
        (0.613, 1, [0.6, 0.7, 0.8, 0.9, 1]),
        (0, 0.01, [0, 0.002, 0.004, 0.006, 0.008, 0.01]),
        (1, 12, [0, 5, 10, 15]),
        (0, 0, [0, 0.1]),
        (5, 5, [5, 6]),
        (0, 1e9, [0, 2e8, 4e8, 6e8, 8e8, 1e9]),
        (0, 3e-12, [0, 1e-12, 2e-12, 3e-12]),
    ],
)
def test_ticks_are_round_and_few(low: float, high: float, expected: list[float]) -> None:
    found = ticks(low, high)
    assert found == pytest.approx(expected)
    assert found[0] <= low
    assert found[-1] >= high


def test_axes_place_values_between_their_borders() -> None:
    axes = Axes((0, 10), (0, 1), 200, 100, left=20, right=10, top=5, bottom=15)
    assert (axes.x(0), axes.x(10), axes.y(0), axes.y(1)) == (20, 190, 85, 5)


def chart(across: list[float], *lines: list[float], mark: float | None = None) -> ElementTree.Element:
    drawn = line_chart(
        across,
        [Line(f"line {number}", f"kind{number}", values) for number, values in enumerate(lines)],
        description="a chart",
        title="epoch",
        limits=(0.0, None),
        text=lambda value: f"{value:g}",
        tooltips=[f"tooltip {position:g}" for position in across],
        mark=None if mark is None else (mark, "best"),
    )
    return ElementTree.fromstring(drawn)


def paths(svg: ElementTree.Element, kind: str) -> list[str]:
    return [path.attrib["d"] for path in svg.iter("path") if path.attrib["class"] == f"line {kind}"]


def texts(svg: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in svg.iter("text")]


def test_a_line_goes_through_its_values_within_the_drawing() -> None:
    svg = chart([1, 2, 3], [0.5, 1.0, 0.0], [0.2, 0.2, 0.2], mark=2)
    (path,) = paths(svg, "kind0")
    points = [tuple(map(float, pair)) for pair in re.findall(r"([\d.]+) ([\d.]+)", path)]
    assert len(points) == 3
    assert points[1][1] < points[0][1] < points[2][1]
    assert all(0 < x < WIDTH and 0 < y < HEIGHT for x, y in points)
    assert [title.text for title in svg.iter("title")] == ["tooltip 1", "tooltip 2", "tooltip 3"]
    assert {"line 0", "line 1", "best", "epoch"} <= set(texts(svg))


def test_labels_of_lines_that_end_alike_do_not_overlap() -> None:
    svg = chart([1, 2], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5])
    places = sorted(float(text.attrib["y"]) for text in svg.iter("text") if (text.text or "").startswith("line"))
    assert places[1] - places[0] >= 14
    assert places[2] - places[1] >= 14
    assert places[2] < HEIGHT


def test_values_that_are_no_numbers_leave_gaps() -> None:
    svg = chart([1, 2, 3, 4], [1.0, nan, 0.5, 0.4], [inf, nan, nan, nan])
    (path,) = paths(svg, "kind0")
    assert path.count("M") == 2
    assert paths(svg, "kind1") == []
    assert "line 1" not in texts(svg)


def test_one_epoch_is_a_dot_with_a_whole_number_below() -> None:
    svg = chart([1], [0.5])
    (path,) = paths(svg, "kind0")
    assert path.count("L") == 1
    assert "1" in texts(svg)
    assert not {"1.2", "1.5"} & set(texts(svg))


def test_a_long_line_is_thinned_but_keeps_the_marked_value() -> None:
    svg = chart([float(number) for number in range(5000)], [float(number) for number in range(5000)], mark=4321.0)
    titles = [title.text for title in svg.iter("title")]
    assert POINTS <= len(titles) <= POINTS + 1
    assert titles[0] == "tooltip 0"
    assert titles[-1] == "tooltip 4999"
    assert "tooltip 4321" in titles
