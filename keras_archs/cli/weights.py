"""`keras-archs weights`: published weights, and checkpoints of other libraries."""

from __future__ import annotations

import typer

from keras_archs.cli import weights_convert, weights_list, weights_lock

app = typer.Typer(
    help="List published weights, convert checkpoints of other libraries, and print checksums to pin.",
    rich_markup_mode="markdown",
)
app.command("list")(weights_list.list_)
app.command("convert")(weights_convert.convert)
app.command("lock")(weights_lock.lock)
