"""Clients that ask again at once when they are refused are read late: refusing them would take all of the processor."""

from __future__ import annotations

import math
import time
from typing import Final

LONGEST_REST: Final = 1.0
"""Seconds. A refusal's `Retry-After` is at least as long, so that no client that keeps to it notices."""
_BURST_SECONDS: Final = 0.2


class RefusalPace:
    """The refusals of all connections together, of which only so many a second are made without a rest."""

    def __init__(self, per_second: float = math.inf) -> None:
        """Start without refusals.

        Args:
            per_second: Refusals a second beyond which connections rest.
        """
        self._interval = 1 / per_second
        self._due = -math.inf  # when the next refusal is due at that pace

    def rest(self) -> float:
        """Count a refusal, and return the seconds in which its connection shall not be read, usually none."""
        now = time.monotonic()
        self._due = min(max(self._due, now - _BURST_SECONDS) + self._interval, now + LONGEST_REST)
        return max(0.0, self._due - now)
