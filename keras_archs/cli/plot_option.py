"""The option `--plot`: draw a command's table as a picture or an HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SUFFIXES = (".png", ".svg", ".pdf", ".html")

PlotOption = Annotated[
    str | None,
    typer.Option(
        "--plot",
        metavar="FILE",
        help="Also draw the result: a .png, .svg or .pdf picture, or an .html page with picture and table.",
    ),
]


def check_plot(path: str | None) -> None:
    """Check the file name of `--plot` before the command starts its work.

    Raises:
        ValueError: The name has no suffix of a known format.
    """
    if path and not path.lower().endswith(_SUFFIXES):
        raise ValueError(f"the file of --plot must end in {', '.join(_SUFFIXES)}; got {path!r}")


def save_plot(path: str, figure: Figure, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Save a figure in the format that the file's suffix names; an .html page also contains the table."""
    if not path.lower().endswith(".html"):
        figure.savefig(path)
        return
    from keras_archs.analysis.html_report import html_page

    Path(path).write_text(html_page(title, figure, headings, rows), encoding="utf-8")
