"""A clock in place of the module `time`."""


class Clock:
    """A clock that stands still until the test moves it.

    Attributes:
        now: The time, in seconds.
    """

    now = 0.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.now

    def perf_counter(self) -> float:
        """Return the time."""
        return self.now
