"""A bar on the terminal that shows how much of a file has arrived."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


@contextmanager
def progress_bar(description: str) -> Iterator["_Bar | Literal[False]"]:
    """Yield a bar in the form that pooch updates; False if standard error is not a terminal."""
    if not sys.stderr.isatty():
        yield False
        return
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (*Progress.get_default_columns()[:2], DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield _Bar(progress, progress.add_task(description, total=None))


class _Bar:
    """One row of a progress display, as pooch uses it."""

    def __init__(self, progress: "Progress", task: "TaskID") -> None:
        self._progress, self._task = progress, task

    @property
    def total(self) -> float | None:
        """Number of bytes that will arrive."""
        return self._progress.tasks[self._task].total

    @total.setter
    def total(self, count: int) -> None:
        self._progress.update(self._task, total=count or None)

    def update(self, count: int) -> None:
        """Add a number of bytes that have arrived."""
        self._progress.update(self._task, advance=count)

    def reset(self) -> None:
        """Begin at 0 again."""
        self._progress.update(self._task, completed=0)

    def close(self) -> None:
        """Leave the bar as it is: the display ends when its context does."""
