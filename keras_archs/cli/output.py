"""Output of the commands: results go to standard output, progress and notes to standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]

_GAP = 2


def write_json(document: object) -> None:
    """Print one JSON document."""
    typer.echo(json.dumps(document, indent=2))


def write_table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """Print a table: drawn by Rich on a terminal, else as aligned columns of untruncated text.

    Args:
        headings: Headings of the columns.
        rows: Cells of each row, as text.
        right: Headings of the right-aligned columns.
    """
    if sys.stdout.isatty():
        _draw_table(headings, rows, right)
        return
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    for row in (headings, *rows):
        cells = (
            cell.rjust(width) if heading in right else cell.ljust(width)
            for cell, width, heading in zip(row, widths, headings, strict=True)
        )
        typer.echo((" " * _GAP).join(cells).rstrip())


def write_rows(rows: Sequence[Mapping[str, object]], *, left: Sequence[str]) -> None:
    """Print a table of rows with the same keys; all columns but those named in `left` are right-aligned."""
    headings, cells = as_text(rows)
    write_table(headings, cells, right=[heading for heading in headings if heading not in left])


def as_text(rows: Sequence[Mapping[str, object]]) -> tuple[list[str], list[list[str]]]:
    """Return the headings and the cells of rows with the same keys."""
    return [key.replace("_", " ") for key in rows[0]], [[_cell(value) for value in row.values()] for row in rows]


def _cell(value: object) -> str:
    match value:
        case None:
            return "unknown"
        case tuple():
            return "x".join(map(str, value))
        case int():
            return f"{value:,}"
        case _:
            return str(value)


def _draw_table(headings: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)


@contextmanager
def working(activity: str) -> Iterator[None]:
    """Show `activity` with a spinner while the `with` block runs, if standard error is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    # a copy of the descriptor, because `quiet_tensorflow` redirects descriptor 2 for a while
    descriptor = os.dup(sys.stderr.fileno())
    with (
        os.fdopen(descriptor, "w", encoding=sys.stderr.encoding) as terminal,
        Console(file=terminal).status(activity),
    ):
        yield
