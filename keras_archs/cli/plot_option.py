"""The pictures that the commands draw, beside their tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SUFFIXES = (".png", ".svg", ".pdf", ".html")

PictureOption = Annotated[
    str | None,
    typer.Option(
        "--plot",
        metavar="FILE",
        help="Draw it as well, to a .png, .svg or .pdf file, or with its table to an .html page.",
    ),
]


def check_picture(path: str | None) -> None:
    """Refuses a name that says of no format, before any work is done.

    Raises:
        ValueError: If it does.
    """
    if path and not path.lower().endswith(_SUFFIXES):
        raise ValueError(f"a picture's name ends in {', '.join(_SUFFIXES)}; got {path!r}")


def save_picture(path: str, figure: Figure, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Saves a figure in the format that its file's name says; a page has the table, too."""
    if not path.lower().endswith(".html"):
        figure.savefig(path)
        return
    from keras_archs.analysis.html_report import html_page

    Path(path).write_text(html_page(title, figure, headings, rows), encoding="utf-8")
