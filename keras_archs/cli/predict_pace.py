"""How far `keras-archs predict` has come: a progress bar on a terminal, else a line a minute."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import typer

from keras_archs.cli.progress import progress

if TYPE_CHECKING:
    from keras_archs.batch.sources import Source

_SECONDS_BETWEEN_LINES: Final = 60.0


@contextmanager
def shown_pace(images: Source) -> Iterator[Callable[[int], None]]:
    """Show a progress bar while the `with` block runs, or lines, so that a log tells how far the night has come.

    The images are counted on another thread, because listing a large source takes a while.

    Args:
        images: The images.

    Yields:
        A function that takes the number of images so far, those of an interrupted run included.
    """
    total: int | None = None

    def count() -> None:
        nonlocal total
        with suppress(OSError, ValueError):  # raised again where the images are read
            total = images.count()

    threading.Thread(target=count, name="count", daemon=True).start()
    if sys.stderr.isatty():
        with progress("Predicting", lambda: total) as show:
            yield show
    else:
        yield _Lines(lambda: total)


class _Lines:
    """Writes a line with images per second and the time that is left, once a minute."""

    def __init__(self, total: Callable[[], int | None]) -> None:
        self._total = total
        self._last = time.monotonic()
        self._done: int | None = None

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if self._done is None:
            self._done = done  # those of an interrupted run
        if now - self._last < _SECONDS_BETWEEN_LINES or done == self._done:
            return
        rate = (done - self._done) / (now - self._last)
        self._last, self._done = now, done
        of = left = ""
        if (total := self._total()) is not None:
            of = f" of {total:,}"
            left = f", {timedelta(seconds=round((total - done) / rate))} left"
        typer.echo(f"{done:,}{of} images, {rate:,.0f} images/s{left}", err=True)
