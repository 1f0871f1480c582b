"""What a training tells on a terminal while it goes on: bars, and a line per epoch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import typer

from keras_archs.cli.output import working
from keras_archs.cli.progress import progress
from keras_archs.training.tuning.history import EpochMetrics


class TerminalWatch:
    """Tells on standard error how a run goes on."""

    def __init__(self, on_published: Callable[[Path], None]) -> None:
        """Prepare for a run.

        Args:
            on_published: Called with the folder of the version when it is published.
        """
        self._on_published = on_published

    def working(self, activity: str) -> AbstractContextManager[None]:
        """Show a spinner."""
        return working(activity)

    def counting(self, activity: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Show a bar of images."""
        return progress(activity, total)

    @contextmanager
    def stepping(self) -> Iterator[Callable[[int, int], None]]:
        """Show a bar of steps."""
        if not sys.stderr.isatty():
            yield lambda step, steps: None
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress("Training", *columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("Training", total=None)
            yield lambda step, steps: bar.update(task, completed=step, total=steps)

    def epoch(self, metrics: EpochMetrics) -> None:
        """Print a line."""
        validated = f"validation loss {metrics.validation_loss:.4f}, accuracy {100 * metrics.validation_accuracy:.1f} %"
        if metrics.epoch == 0:
            typer.echo(f"classifier alone: {validated}", err=True)
            return
        trained = f"loss {metrics.loss:.4f}, accuracy {100 * metrics.accuracy:.1f} %"
        typer.echo(f"epoch {metrics.epoch}: {trained}; {validated}; {metrics.seconds:.0f} s", err=True)

    def published(self, version_dir: Path) -> None:
        """Tell that a version is published."""
        self._on_published(version_dir)
