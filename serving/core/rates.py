"""Token buckets: how many requests, or bytes, a caller may send per minute."""

from __future__ import annotations

import math
import time
from typing import NamedTuple

from serving.core.errors import RateLimitedError

WINDOW_SECONDS = 60.0
MAX_CALLERS = 10_000
"""Callers that are remembered; beyond, the caller that was seen least recently is forgotten."""
_ROUNDING = 1e-6


class Quota(NamedTuple):
    """What a caller has left of one limit.

    Attributes:
        unit: What is counted: requests or bytes.
        per_minute: The limit.
        remaining: What the caller may still send, at least 0.
        full_in: Seconds until the whole limit is available again.
    """

    unit: str
    per_minute: int
    remaining: int
    full_in: float


class TokenBuckets:
    """A bucket for each caller: it holds what may be sent in a minute, and fills again evenly.

    A request is let through as long as anything is left, and is then counted in full. So a body that is larger than the
    rest is accepted, and the following requests wait for it. Libraries offer windows in place of buckets: those either
    store an entry for each byte, or let two minutes' amounts through in one. Use it on the event loop only.
    """

    def __init__(self, unit: str) -> None:
        """Start with full buckets.

        Args:
            unit: What is counted, in the plural.
        """
        self.unit = unit
        self._full_at: dict[str, float] = {}  # when each bucket is full again, least recently used first

    def spend(self, caller: str, per_minute: int, amount: int = 1) -> None:
        """Take `amount` out of a caller's bucket.

        Args:
            caller: Name of the bucket.
            per_minute: What the bucket holds, and what flows into it in a minute.
            amount: What to take, at least 1.

        Raises:
            RateLimitedError: The bucket is empty; nothing is taken.
        """
        full_in = self.check(caller, per_minute)
        self._full_at.pop(caller, None)  # to be added as the last
        self._full_at[caller] = time.monotonic() + full_in + amount * WINDOW_SECONDS / per_minute
        if len(self._full_at) > MAX_CALLERS:
            del self._full_at[next(iter(self._full_at))]

    def check(self, caller: str, per_minute: int) -> float:
        """Return the seconds until a caller's bucket is full again.

        Raises:
            RateLimitedError: The bucket is empty.
        """
        full_in = self._full_in(caller)
        left = per_minute * (1.0 - full_in / WINDOW_SECONDS)
        if left < 1.0 - _ROUNDING:
            wait = math.ceil((1.0 - left) * WINDOW_SECONDS / per_minute)
            raise RateLimitedError(
                f"{per_minute} {self.unit} per minute are allowed, and were sent; try again in {wait} s",
                retry_after=wait,
            )
        return full_in

    def quota(self, caller: str, per_minute: int) -> Quota:
        """Return what a caller has left."""
        full_in = self._full_in(caller)
        left = per_minute * (1.0 - full_in / WINDOW_SECONDS)
        return Quota(self.unit, per_minute, max(0, math.floor(left + _ROUNDING)), full_in)

    def _full_in(self, caller: str) -> float:
        full_at = self._full_at.get(caller)
        return 0.0 if full_at is None else max(0.0, full_at - time.monotonic())
