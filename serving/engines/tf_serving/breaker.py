"""When to leave a failing backend alone, and when to stop trying again: both by counting."""

from __future__ import annotations

import time


class CircuitBreaker:
    """Opens after failures in a row; after a pause it lets one call try, whose outcome closes or opens it again.

    `calls` and `failures` count all that there were.

    (Of the libraries for this, those for asyncio go by the wall clock, and let everybody try after the pause.)
    """

    def __init__(self, *, failures: int = 5, pause: float = 5.0) -> None:
        """Starts closed.

        Args:
            failures: How many in a row open it.
            pause: Seconds until it lets one call try.
        """
        self.calls = 0
        self.failures = 0
        self._most_in_a_row = failures
        self._pause = pause
        self._in_a_row = 0
        self._try_at: float | None = None  # None while it is closed

    @property
    def is_open(self) -> bool:
        """Whether calls must not be made now."""
        return self._try_at is not None and time.monotonic() < self._try_at

    def begin(self) -> None:
        """A call is made. If it is the one that tries, others have to wait for its outcome, or for another pause."""
        self.calls += 1
        if self._try_at is not None:
            self._try_at = time.monotonic() + self._pause

    def succeed(self) -> None:
        """A call went well."""
        self._in_a_row, self._try_at = 0, None

    def fail(self) -> None:
        """A call failed."""
        self.failures += 1
        self._in_a_row += 1
        if self._in_a_row >= self._most_in_a_row:
            self._try_at = time.monotonic() + self._pause


class RetryBudget:
    """Lets retries be a small part of all calls, as gRPC's own retry throttling (gRFC A6) does.

    A retry takes a token and a success gives a tenth of one; from half of the tokens down there are no retries.
    """

    def __init__(self, tokens: float = 20) -> None:
        self._most = self._tokens = tokens

    def spend(self) -> bool:
        """Takes a token for one retry; False if there must be none."""
        if self._tokens <= self._most / 2:
            return False
        self._tokens -= 1
        return True

    def earn(self) -> None:
        """A call went well."""
        self._tokens = min(self._most, self._tokens + 0.1)
