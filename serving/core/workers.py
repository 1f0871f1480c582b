"""What a pool of threads did, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True)
class Timed(Generic[Result]):
    """Results of a pool, and the time that they took.

    Attributes:
        results: Results in the order of the items.
        queue: Seconds until the first item began.
        busy: Seconds from then until the last item finished.
    """

    results: list[Result]
    queue: float
    busy: float

    @classmethod
    def of(cls, submitted: float, items: Sequence[tuple[float, Result, float]]) -> Timed[Result]:
        """Sum up items, each with the seconds at which it began and finished, that were submitted at `submitted`."""
        first_start = min(started for started, _, _ in items)
        return cls(
            results=[result for _, result, _ in items],
            queue=first_start - submitted,
            busy=max(finished for _, _, finished in items) - first_start,
        )
