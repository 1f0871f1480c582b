"""What a run tells while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from keras_archs.training.tuning.history import EpochMetrics


class Watch(Protocol):
    """Someone who is told how a run goes on."""

    def working(self, activity: str) -> AbstractContextManager[None]:
        """Tell what is done while a `with` block runs."""
        ...

    def counting(self, activity: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Tell what is done while a `with` block runs; yields a function that takes the number of images so far."""
        ...

    def stepping(self) -> AbstractContextManager[Callable[[int, int], None]]:
        """Tell how training goes on while a `with` block runs; yields a function of the step and their number."""
        ...

    def epoch(self, metrics: EpochMetrics) -> None:
        """Tell the numbers of an epoch."""
        ...

    def published(self, version_dir: Path) -> None:
        """Tell that a version is published and can be asked."""
        ...
