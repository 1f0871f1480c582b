"""Circuit breaker and retry budget of the connections to inference servers."""

from __future__ import annotations

import time


class CircuitBreaker:
    """Opens after consecutive failures; after a cooldown one trial call closes it or opens it again.

    It also opens when the server is found to hang, until the server answers a call.

    Own code, because the asyncio libraries for this use the wall clock and let all calls through after the cooldown.

    Attributes:
        calls: Calls since the start.
        failures: Failed calls since the start.
    """

    def __init__(self, *, threshold: int = 5, cooldown: float = 5.0) -> None:
        """Start closed.

        Args:
            threshold: Consecutive failures that open the circuit.
            cooldown: Seconds until an open circuit lets one trial call through.
        """
        self.calls = 0
        self.failures = 0
        self._threshold = threshold
        self._cooldown = cooldown
        self._consecutive_failures = 0
        self._trial_at: float | None = None  # None unless failures have opened the circuit
        self._hangs = False

    @property
    def is_open(self) -> bool:
        """Whether no calls may be made now."""
        return self._hangs or (self._trial_at is not None and time.monotonic() < self._trial_at)

    def begin(self) -> None:
        """Count a call. A trial call holds the circuit open for the others until it ends, or for one more cooldown."""
        self.calls += 1
        if self._trial_at is not None:
            self._trial_at = time.monotonic() + self._cooldown

    def succeed(self) -> None:
        """Record a successful call, which closes the circuit."""
        self._consecutive_failures, self._trial_at = 0, None

    def fail(self) -> None:
        """Record a failed call."""
        self.failures += 1
        self._consecutive_failures += 1
        if self._consecutive_failures >= self._threshold:
            self._trial_at = time.monotonic() + self._cooldown

    def hang(self) -> None:
        """Record that the server has left a call without an answer for a fair time."""
        self.failures += 1
        self._hangs = True

    def answer(self) -> None:
        """Record an answer of any kind: the server does not hang."""
        self._hangs = False


class RetryBudget:
    """Limits retries to a small share of all calls, like gRPC's retry throttling (gRFC A6).

    A retry costs one token and a success earns a tenth of a token; no retries while half of the tokens or fewer remain.
    """

    def __init__(self, tokens: float = 20) -> None:
        self._capacity = self._tokens = tokens

    def spend(self) -> bool:
        """Take a token for one retry; return False if no retry is allowed."""
        if self._tokens <= self._capacity / 2:
            return False
        self._tokens -= 1
        return True

    def earn(self) -> None:
        """Add a tenth of a token for a successful call."""
        self._tokens = min(self._capacity, self._tokens + 0.1)
