"""A figure and its table as one self-contained HTML page: no scripts, no external resources."""

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
    """Return an HTML page with a figure and its table.

    Args:
        title: Title of the page, also its heading.
        figure: A matplotlib figure. An artist whose ``gid`` is the first cell of a row, or that cell followed by a
            slash and any text, shows the row as a tooltip.
        headings: Column headings of the table.
        rows: Cells of the table as plain text; the first cell names the row.

    Returns:
        A complete HTML document with the figure as inline SVG.

    Raises:
        ModuleNotFoundError: If matplotlib (extra ``analysis``) is not installed.
    """
    tooltips = {row[0]: "\n".join(map(": ".join, zip(headings, row, strict=True))) for row in rows}
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
{_svg(figure, tooltips)}
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
    name, *cells = map(escape, row)
    return f'<tr><th scope="row">{name}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def _svg(figure: "Figure", tooltips: dict[str, str]) -> str:
    """Return the figure as an SVG element, with a ``<title>`` in each group that has a tooltip."""
    file = io.StringIO()
    with import_extra("matplotlib", "analysis").rc_context({"svg.fonttype": "none", "svg.hashsalt": "keras-archs"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]  # inline SVG must not have an XML declaration

    def with_title(group: re.Match[str]) -> str:
        gid = unescape(group["id"])
        tooltip = tooltips.get(gid) or tooltips.get(gid.partition("/")[0])
        return f"{group[0]}<title>{escape(tooltip)}</title>" if tooltip else group[0]

    return re.sub(r'<g id="(?P<id>[^"]*)">', with_title, svg)
