"""A picture and its table as one HTML file, which needs nothing else: no network, no script."""

import io
import re
from collections.abc import Sequence
from html import escape, unescape
from typing import TYPE_CHECKING

from keras_archs.analysis.extras import import_extra

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222;
  background: #fff }
h1 { font-size: 1.5rem }
figure { margin: 0 0 1rem }
figure svg { width: 100%; height: auto }
.table { overflow-x: auto }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums }
th, td { padding: 0.3rem 0.8rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap }
th:first-child, td:first-child { text-align: left }
tbody tr:hover { background: #f3f6fa }
"""


def html_page(title: str, figure: "Figure", headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a picture and its table as a page.

    Args:
        title: Of the page.
        figure: A matplotlib figure. An artist whose ``gid`` is the first cell of a row, or begins with it and a slash,
            shows the row when a pointer is over it.
        headings: Of the table, one per column.
        rows: Its cells, as text; the first names the row.

    Returns:
        A complete HTML document, with the picture as vector graphics.

    Raises:
        ModuleNotFoundError: Without matplotlib.
    """
    told = {row[0]: "\n".join(map(": ".join, zip(headings, row, strict=True))) for row in rows}
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in headings)
    body = "\n".join(_row(row) for row in rows)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
<figure role="img" aria-label="{escape(title)}: the numbers are in the table below">
{_svg(figure, told)}
</figure>
<div class="table">
<table>
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody>
</table>
</div>
</main>
</body>
</html>
"""


def _row(row: Sequence[str]) -> str:
    first, *others = map(escape, row)
    return f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in others)}</tr>'


def _svg(figure: "Figure", told: dict[str, str]) -> str:
    """The figure's SVG element, whose groups say what is told of them."""
    file = io.StringIO()
    with import_extra("matplotlib", "analysis").rc_context({"svg.fonttype": "none", "svg.hashsalt": "keras-archs"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]  # within HTML, without an XML declaration

    def with_title(group: re.Match[str]) -> str:
        gid = unescape(group["id"])
        row = told.get(gid) or told.get(gid.partition("/")[0])
        return f"{group[0]}<title>{escape(row)}</title>" if row else group[0]

    return re.sub(r'<g id="(?P<id>[^"]*)">', with_title, svg)
