"""What the commands share in writing: results to standard output, progress and notes to standard error."""

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
    """Prints one JSON document."""
    typer.echo(json.dumps(document, indent=2))


def write_table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """Prints a table: drawn by Rich on a terminal, else as aligned columns, which are never cut short.

    Args:
        headings: one per column.
        rows: the cells, as text.
        right: headings of the columns that are aligned to the right.
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
    """Prints a table of rows with the same keys, aligned to the right but for the headings ``left``."""
    headings, cells = as_text(rows)
    write_table(headings, cells, right=[heading for heading in headings if heading not in left])


def as_text(rows: Sequence[Mapping[str, object]]) -> tuple[list[str], list[list[str]]]:
    """Headings and cells of rows with the same keys."""
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
    """Shows on a terminal, while the body runs, that something takes its time."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    # A descriptor of its own: `import_keras` turns the usual one away for a while.
    descriptor = os.dup(sys.stderr.fileno())
    with (
        os.fdopen(descriptor, "w", encoding=sys.stderr.encoding) as terminal,
        Console(file=terminal).status(activity),
    ):
        yield
