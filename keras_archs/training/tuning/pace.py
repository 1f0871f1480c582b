"""How many steps still fit into the time of a training."""

from __future__ import annotations

import math
import time
from collections import deque

MARGIN = 0.97
"""Share of the time limit that is planned with: the rest is for slower steps at the end, and for the last weights."""

_WINDOW = 30
"""Steps whose mean duration stands for the steps to come."""


class Pace:
    """Measures steps and validations, and plans with them.

    Args:
        limit: Seconds that the training may take; None for no limit.
    """

    def __init__(self, limit: float | None) -> None:
        self.limit = limit
        self._began = time.monotonic()
        self._steps: deque[float] = deque(maxlen=_WINDOW)
        self._validation = 0.0
        self._traced = False

    @property
    def seconds(self) -> float:
        """Time of the training so far, earlier processes included."""
        return time.monotonic() - self._began

    def add_used(self, seconds: float) -> None:
        """Count the time that the training took in earlier processes."""
        self._began -= seconds

    def add_step(self, seconds: float) -> None:
        """Take note of the duration of a step; that of the first, in which the step is compiled, says nothing."""
        if self._traced:
            self._steps.append(seconds)
        self._traced = True

    def add_validation(self, seconds: float) -> None:
        """Take note of the duration of an epoch's end: validation and checkpoint."""
        self._validation = seconds

    def fitting_steps(self, done: int, planned: int, per_epoch: int) -> int:
        """Return how many further steps fit into the time limit, with the validations of the epochs that they end.

        Args:
            done: Number of finished steps.
            planned: Number of further steps that the recipe asks for, which are the most that are returned.
            per_epoch: Number of steps from one validation to the next.
        """
        if self.limit is None:
            return planned
        left = self.limit * MARGIN - self.seconds - self._validation  # the training ends with a validation
        if left <= 0:
            return 0
        if not self._steps:
            return planned
        step = sum(self._steps) / len(self._steps)
        if not step:
            return planned
        first = per_epoch - done % per_epoch
        if first * step >= left:
            return min(planned, math.floor(left / step))
        left -= first * step + self._validation
        epoch = per_epoch * step + self._validation
        epochs = max(0, math.floor(left / epoch))
        rest = max(0.0, left - epochs * epoch)
        return min(planned, first + epochs * per_epoch + min(math.floor(rest / step), per_epoch))
