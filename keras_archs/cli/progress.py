"""A progress bar with images per second, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(activity: str, images: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar while the `with` block runs, if standard error is a terminal.

    Args:
        activity: What is done, before the bar.
        images: Number of images at the end.

    Yields:
        A function that takes the number of images so far.
    """
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:,.0f} images/s" if speed else "")

    columns = (BarColumn(), MofNCompleteColumn(), Speed(), TimeRemainingColumn())
    with Progress("{task.description}", *columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(activity, total=images)
        yield lambda done: bar.update(task, completed=done)
