"""A listener that keeps what a run tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from keras_archs.training.tuning.history import EpochMetrics


@dataclass
class Listener:
    """Keeps what it is told."""

    told: list[str] = field(default_factory=list)

    @contextmanager
    def working(self, activity: str) -> Iterator[None]:
        self.told.append(activity)
        yield

    @contextmanager
    def counting(self, activity: str, total: int) -> Iterator[Callable[[int], None]]:
        self.told.append(f"{activity}: {total}")
        yield lambda done: None

    @contextmanager
    def stepping(self) -> Iterator[Callable[[int, int], None]]:
        yield lambda step, steps: None

    def epoch(self, metrics: EpochMetrics) -> None:
        self.told.append(f"epoch {metrics.epoch}")

    def published(self, version_dir: Path) -> None:
        self.told.append(f"version {version_dir.name}")
