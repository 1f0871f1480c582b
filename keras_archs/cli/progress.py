"""A progress bar with images per second, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(activity: str, images: int | Callable[[], int | None]) -> Iterator[Callable[[int], None]]:
    """Show a progress bar while the `with` block runs, if standard error is a terminal.

    Args:
        activity: What is done, before the bar.
        images: Number of images at the end, or a function that returns the number once it is known, and None before.

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
        total = images if callable(images) else lambda: images
        task = bar.add_task(activity, total=total())
        yield lambda done: bar.update(task, completed=done, total=total())


@contextmanager
def weighted_progress(total: float) -> Iterator[Callable[[str, float], None]]:
    """Show a progress bar of tasks that take different time while the `with` block runs, on a terminal only.

    Args:
        total: Expected time of all tasks, in any unit.

    Yields:
        A function that takes what is done next, and the expected time of the tasks so far.
    """
    if not sys.stderr.isatty():
        yield lambda activity, done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TimeRemainingColumn

    columns = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress("{task.description}", *columns, console=console, transient=True, speed_estimate_period=600) as bar:
        task = bar.add_task("", total=total)
        yield lambda activity, done: bar.update(task, description=activity, completed=done)
