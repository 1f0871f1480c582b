"""Pictures of graphs as SVG: boxes from top to bottom, branches in columns beside them, shortcuts as arcs."""

# ruff: noqa: RUF001 (the multiplication sign stands between sizes)

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from docs.tools.blocks import ACTIVATIONS, Node

FILLS = {
    "conv": ("#dbe9fb", "#3568b0"),
    "depthwise": ("#d8f1ec", "#217a69"),
    "norm": ("#eeeeee", "#777777"),
    "pool": ("#fdecc8", "#a1720f"),
    "join": ("#e2f3da", "#467a2c"),
    "drop": ("#f7e1ee", "#a13f77"),
    "other": ("#eeeeee", "#777777"),
}
"""Fill and border of a box, by the kind of its layer."""
AFTER = {"BN", *ACTIVATIONS.values()}
"""What follows a layer in its box, on a line of its own."""
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
LINE = "#5b6470"
TITLE, NOTE = 13, 11
"""Sizes of the text in a box, in pixels."""
GAP, COLUMN_GAP, LANE, MARGIN = 22, 12, 15, 10


@dataclass
class _Box:
    node: Node
    row: int
    column: int
    x: float = 0
    """Centre."""
    y: float = 0
    """Top."""
    width: float = 0
    height: float = 0

    @property
    def middle(self) -> float:
        return self.y + self.height / 2

    @property
    def right(self) -> float:
        return self.x + self.width / 2

    @property
    def bottom(self) -> float:
        return self.y + self.height


def svg(nodes: Sequence[Node], title: str) -> str:
    """Draw a graph.

    Args:
        nodes: The graph in the order of computation, as `docs.tools.blocks.block` returns it.
        title: Text for screen readers.

    Returns:
        The text of an SVG file, which needs no font and no other file.
    """
    boxes = _placed(nodes)
    edges = [(boxes[key], boxes[node.key]) for node in nodes for key in node.inputs]
    lanes = _lanes(edges, boxes)
    left = min(box.x - box.width / 2 for box in boxes.values()) - MARGIN
    right = max([box.right for box in boxes.values()] + list(lanes.values())) + MARGIN
    last = boxes[nodes[-1].key]
    height = last.bottom + GAP + 18 + MARGIN
    width = right - left
    shapes = [
        *(_edge(start, end, lanes) for start, end in edges),
        _arrow(f"M{last.x:.1f} {last.bottom:.1f}V{last.bottom + GAP - 3:.1f}"),
        *(part for box in boxes.values() for part in _drawn(box)),
        _text(last.x, last.bottom + GAP + 13, _shape(last.node), NOTE, fill=LINE),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="{left:.1f} 0 {width:.1f} {height:.1f}" '
        f'width="{width:.0f}" height="{height:.0f}" font-family="{escape(FONT)}">\n<title>{escape(title)}</title>\n'
        '<defs><marker id="head" markerWidth="7" markerHeight="7" refX="5.5" refY="3.5" orient="auto">'
        f'<path d="M0 0.8L6 3.5L0 6.2z" fill="{LINE}"/></marker></defs>\n'
        f'<rect x="{left:.1f}" y="0" width="{width:.1f}" height="{height:.1f}" rx="8" fill="#ffffff"/>\n'
        + "\n".join(shapes)
        + "\n</svg>\n"
    )


def _placed(nodes: Sequence[Node]) -> dict[str, _Box]:
    """Give each node a row by its distance from the input, and a column: the longest path first."""
    rows: dict[str, int] = {}
    longest: dict[str, str] = {}
    for node in nodes:
        # Of two paths of equal length, the one that a layer names last: residual additions name the shortcut first.
        deepest = max(reversed(node.inputs), key=rows.__getitem__, default=None)
        rows[node.key] = rows[deepest] + 1 if deepest is not None else 0
        if deepest is not None:
            longest[node.key] = deepest
    spine = {key := nodes[-1].key}
    while key in longest:
        spine.add(key := longest[key])
    boxes: dict[str, _Box] = {}
    ends: dict[int, int] = {}  # column -> last row that is taken
    for node in nodes:
        column = 0
        if node.key not in spine:
            before = boxes[node.inputs[0]]
            column = before.column or next(c for c in range(1, len(nodes)) if ends.get(c, -1) < rows[node.key])
            ends[column] = max(ends.get(column, -1), _joined(node, nodes, rows) - 1)
        boxes[node.key] = _Box(node, rows[node.key], column)
    _measure(boxes)
    return boxes


def _joined(node: Node, nodes: Sequence[Node], rows: dict[str, int]) -> int:
    """Return the row of the first node that reads this one."""
    return min((rows.get(other.key, len(nodes)) for other in nodes if node.key in other.inputs), default=len(nodes))


def _measure(boxes: dict[str, _Box]) -> None:
    for box in boxes.values():
        title, notes = _lines(box.node)
        widths = [_text_width(title, TITLE), *(_text_width(note, NOTE) for note in notes)]
        box.width = max(widths) + 16
        box.height = 18 if box.node.kind == "input" else 27 + 15 * len(notes)
    top = float(MARGIN)
    for row in range(1 + max(box.row for box in boxes.values())):
        row_boxes = [box for box in boxes.values() if box.row == row]
        tallest = max(box.height for box in row_boxes)
        for box in row_boxes:
            box.y = top + (tallest - box.height) / 2
        top += tallest + GAP
    left = 0.0
    for column in range(1 + max(box.column for box in boxes.values())):
        widest = max(box.width for box in boxes.values() if box.column == column)
        for box in boxes.values():
            if box.column == column:
                box.x = left + widest / 2
        left += widest + COLUMN_GAP


def _lanes(edges: Sequence[tuple[_Box, _Box]], boxes: dict[str, _Box]) -> dict[tuple[str, str], float]:
    """Return the x of each arc: edges of the first column that pass other boxes, the shortest ones innermost."""
    skips = [(a, b) for a, b in edges if a.column == b.column == 0 and b.row > a.row + 1]
    taken: list[list[tuple[int, int]]] = []
    found: dict[tuple[str, str], float] = {}
    for start, end in sorted(skips, key=lambda edge: edge[1].row - edge[0].row):
        lane = next(
            (n for n, spans in enumerate(taken) if all(end.row <= low or start.row >= high for low, high in spans)),
            len(taken),
        )
        if lane == len(taken):
            taken.append([])
        taken[lane].append((start.row, end.row))
        beside = max(box.right for box in boxes.values() if start.row <= box.row <= end.row)
        found[start.node.key, end.node.key] = beside + LANE * (lane + 1)
    return found


def _edge(start: _Box, end: _Box, lanes: dict[tuple[str, str], float]) -> str:
    lane = lanes.get((start.node.key, end.node.key))
    if lane is not None:
        return _arrow(_elbow(start, lane, end))
    if start.column == end.column:
        return _arrow(f"M{start.x:.1f} {start.bottom:.1f}V{end.y:.1f}")
    if end.column > start.column:  # into a branch
        return _arrow(f"M{start.right:.1f} {start.middle:.1f}H{end.x - 8:.1f}q8 0 8 8V{end.y:.1f}")
    return _arrow(f"M{start.x:.1f} {start.bottom:.1f}V{end.middle - 8:.1f}q0 8 -8 8H{end.right:.1f}")


def _elbow(start: _Box, x: float, end: _Box) -> str:
    radius = 10
    return (
        f"M{start.right:.1f} {start.middle:.1f}H{x - radius:.1f}q{radius} 0 {radius} {radius}"
        f"V{end.middle - radius:.1f}q0 {radius} {-radius} {radius}H{end.right:.1f}"
    )


def _arrow(path: str) -> str:
    return f'<path d="{path}" fill="none" stroke="{LINE}" stroke-width="1.4" marker-end="url(#head)"/>'


def _drawn(box: _Box) -> Iterator[str]:
    title, notes = _lines(box.node)
    if box.node.kind == "input":
        yield _text(box.x, box.y + 13, title, NOTE, fill=LINE)
        return
    fill, border = FILLS[box.node.kind]
    radius = 13 if box.node.kind == "join" else 5
    dashed = ' stroke-dasharray="5 3"' if box.node.kind == "drop" else ""
    yield (
        f'<rect x="{box.x - box.width / 2:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" '
        f'rx="{radius}" fill="{fill}" stroke="{border}"{dashed}/>'
    )
    yield _text(box.x, box.y + 18, title, TITLE, weight=600)
    for number, note in enumerate(notes):
        yield _text(box.x, box.y + 33 + 15 * number, note, NOTE, fill="#333333")


def _lines(node: Node) -> tuple[str, list[str]]:
    """Return the title of a box and the lines below."""
    if node.kind == "input":
        return _shape(node), []
    if node.kind == "norm":
        return " · ".join((node.title, *node.notes)), []
    if node.kind == "join" and len(node.notes) == 1 and node.title == "+":
        return f"+ · {node.notes[0]}", []
    after = [note for note in node.notes if note in AFTER]
    rest = [note for note in node.notes if note not in AFTER]
    return node.title, [*rest, " · ".join(after)] if after else rest


def _shape(node: Node) -> str:
    return "×".join(str(size) if size else "?" for size in node.shape)


def _text(x: float, y: float, text: str, size: int, *, weight: int = 400, fill: str = "#111111") -> str:
    bold = f' font-weight="{weight}"' if weight != 400 else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}"{bold} text-anchor="middle" fill="{fill}">'
        f"{escape(text)}</text>"
    )


def _text_width(text: str, size: int) -> float:
    """Estimate a text's width: exact widths depend on the reader's fonts."""
    return len(text) * size * (0.6 if size == TITLE else 0.55)
