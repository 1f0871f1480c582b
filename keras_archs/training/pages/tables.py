"""Tables that a click on a heading sorts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from keras_archs.training.pages.text import percent


def table(headings: Sequence[str], rows: Iterable[str], *, text: Sequence[str], sorted_by: str | None = None) -> str:
    """Return a table.

    Args:
        headings: Headings of the columns, as HTML.
        rows: HTML of each row, `<tr>` included. The script sorts by the attribute `data-value` of a cell if it has the
            attribute, else by the text of the cell.
        text: Headings of the columns that hold text, not numbers.
        sorted_by: Heading of the column whose values ascend; None if the rows have another order.
    """

    def heading(name: str) -> str:
        kind = ' class="text"' if name in text else ""
        order = ' aria-sort="ascending"' if name == sorted_by else ""
        return f'<th scope="col"{kind}{order}><button type="button">{name}</button></th>'

    head = "".join(map(heading, headings))
    body = "".join(rows)
    return f'<div class="table"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n'


def share_cell(share: float, note: str = "") -> str:
    """Return a cell with a share in per cent and as a bar.

    Args:
        share: The share, 0 to 1.
        note: HTML after the number; empty for none.
    """
    return f'<td class="share" style="--share: {100 * share:.1f}%" data-value="{share:.6f}">{percent(share)}{note}</td>'
