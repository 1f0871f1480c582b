"""How long a further request would take: learned from the requests that end, for the work that waits at present.

Work is counted in the seconds that an image of a model takes once it has begun. The pace is how many seconds pass for
each second of work that was ahead of a request; it has in it how much runs in parallel, and all that a request waits
for. Both follow what happens, and so does the caution with which they are to be taken: nothing has to be configured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from serving.core.access import Caller

_LEARNED: Final = 0.05
"""Weight of the newest observation."""
_LEAST_CAUTION: Final = 1.5
_SPREADS: Final = 3  # a request that waited in vain costs more than a place that stays empty for a moment
_FIRST_COST: Final = 0.02
"""Seconds of an image before any image has been computed."""


@dataclass
class Entry:
    """One request.

    Attributes:
        worked: Seconds that its images took, without waiting; None until they are known.
    """

    worked: float | None = None


class Backlog:
    """The work of all requests that wait or run. Use it on the event loop only."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """Start without work and without experience."""
        self._clock = clock
        self._waited = self._ahead_of = 1.0  # seconds that requests took, and seconds of work that were ahead of them
        self._spread = 0.25  # by which part requests take longer or shorter than expected
        self._costs: dict[str, float] = {}  # seconds of an image, by model
        self._cost = _FIRST_COST  # of an image of any model
        self._pending: dict[str, tuple[float, float, int]] = {}  # seconds of work, weight and requests, by caller

    @property
    def requests(self) -> int:
        """Number of requests that wait or run."""
        return sum(requests for _, _, requests in self._pending.values())

    @property
    def _pace(self) -> float:
        return self._waited / self._ahead_of

    @property
    def caution(self) -> float:
        """By how many times what is expected must be multiplied so that few requests take longer."""
        return max(_LEAST_CAUTION, 1 + _SPREADS * self._spread)

    def expected_seconds(self, caller: Caller, model: str = "", images: int = 1) -> float:
        """Return the seconds that a request would take if it came now; 0 if no other waits or runs.

        Args:
            caller: Who would ask; work of other callers is ahead only as far as it gets its turn first.
            model: Name of the model; empty if it is not known yet.
            images: Number of images.
        """
        return self._pace * self._ahead(caller, images * self._cost_of(model)) if self._pending else 0.0

    @contextmanager
    def entry(self, caller: Caller, model: str, images: int) -> Iterator[Entry]:
        """Count a request as long as it waits and runs, and learn from it.

        Args:
            caller: Who asks.
            model: Name of the model.
            images: Number of images.
        """
        cost = images * self._cost_of(model)
        ahead = self._ahead(caller, cost)
        self._add(caller, cost, 1)
        entry, started = Entry(), self._clock()
        try:
            yield entry
        finally:
            self._add(caller, -cost, -1)
            self._learn_pace(self._clock() - started, ahead, is_complete=entry.worked is not None)
            if entry.worked is not None:
                self._learn_cost(model, entry.worked / images)

    def _cost_of(self, model: str) -> float:
        return self._costs.get(model, self._cost)

    def _ahead(self, caller: Caller, cost: float) -> float:
        """Return the seconds of work that end before the work of a further request does, which they include.

        Callers take turns, so that of another caller's work no more is ahead than the same caller has, by the weights.
        """
        own = cost + (self._pending[caller.name][0] if caller.name in self._pending else 0.0)
        others = (work for name, work in self._pending.items() if name != caller.name)
        return own + sum(min(seconds, own * weight / caller.weight) for seconds, weight, _ in others)

    def _add(self, caller: Caller, cost: float, requests: int) -> None:
        seconds, _, number = self._pending.get(caller.name, (0.0, 1.0, 0))
        if number + requests:
            self._pending[caller.name] = (seconds + cost, caller.weight, number + requests)
        else:
            del self._pending[caller.name]  # and with it what rounding has left

    def _learn_pace(self, seconds: float, ahead: float, *, is_complete: bool) -> None:
        expected = self._pace * ahead
        if is_complete or seconds > expected:  # what was given up would have taken at least as long
            # a single long wait, such as for the first explanation of a model, says little
            seconds = min(seconds, 2 * expected)
            self._spread += _LEARNED * (abs(seconds / expected - 1) - self._spread)
            # the ratio of the means, not the mean of the ratios: requests that waited say more than those that did not
            self._waited += _LEARNED * (seconds - self._waited)
            self._ahead_of += _LEARNED * (ahead - self._ahead_of)

    def _learn_cost(self, model: str, observed: float) -> None:
        known = self._costs.get(model, observed)
        self._costs[model] = known + _LEARNED * (observed - known)
        self._cost += _LEARNED * (observed - self._cost)
