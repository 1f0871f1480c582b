"""Admission: how many requests, and how many bytes of their bodies, the gateway holds at the same time.

Every protocol asks before it reads a body. A request is refused at once if its answer would come too late. Memory and
places are shared between callers: when they are taken, the caller that has the most of them for its weight loses one to
a caller that has less.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

from serving.core.access import Caller
from serving.core.backlog import Backlog
from serving.core.errors import OverloadedError


class Admission:
    """The limits, and what is admitted at present. Use it on the event loop only.

    Attributes:
        max_requests: Requests that may wait or run at the same time, from the end of their body to their answer.
        max_bytes: Bytes of all bodies, from the first byte to the answer.
        timeout_seconds: Seconds until the deadline of requests that have no deadline of their own.
        on_refusal: Is told that a request is refused.
    """

    def __init__(
        self, *, max_requests: int, max_bytes: int, timeout_seconds: float = math.inf, backlog: Backlog | None = None
    ) -> None:
        """Start with nothing admitted.

        Args:
            max_requests: See the attribute.
            max_bytes: See the attribute.
            timeout_seconds: See the attribute.
            backlog: Knows how long a request would take; None to refuse nothing because of its deadline.
        """
        self.max_requests = max_requests
        self.max_bytes = max_bytes
        self.timeout_seconds = timeout_seconds
        self.on_refusal: Callable[[], None] = lambda: None
        self._backlog = backlog or Backlog()
        self._bytes: Counter[str] = Counter()  # by caller
        self._uploads: dict[Place, None] = {}  # whose body is arriving, in order of arrival
        self._running: dict[str, dict[Place, None]] = {}  # by caller, whose body has arrived, in that order

    @property
    def running(self) -> int:
        """Number of requests that wait or run, whose body has arrived."""
        return sum(map(len, self._running.values()))

    @property
    def uploading(self) -> int:
        """Number of requests whose body is arriving."""
        return len(self._uploads)

    @property
    def held_bytes(self) -> int:
        """Bytes of all bodies."""
        return self._bytes.total()

    def check(self, caller: Caller, timeout_seconds: float | None = None) -> None:
        """Refuse a request that cannot be answered in time, which costs little.

        Args:
            caller: Who asks.
            timeout_seconds: Seconds until the deadline of the request; None for the default.

        Raises:
            OverloadedError: There is no place, or the answer would come after the deadline.
        """
        if self.running >= self.max_requests and self._greediest(caller) is None:
            raise self._full(caller)
        allowed = self.timeout_seconds if timeout_seconds is None else min(timeout_seconds, self.timeout_seconds)
        expected = self._backlog.expected_seconds(caller)
        if self._backlog.caution * expected > allowed:
            raise self._refusal(
                f"an answer takes about {expected:.2g} s now, too long for a deadline of {allowed:g} s; try again",
                retry_after=self._backlog.caution * expected - allowed,
                reason="deadline",
            )

    def enter(
        self, caller: Caller, size: int, give_up: Callable[[], None], timeout_seconds: float | None = None
    ) -> Place:
        """Admit a request whose body has not been read.

        Args:
            caller: Who sends the request.
            size: Bytes that the body is known to have, 0 if unknown.
            give_up: Called if another caller needs the memory or the place: the request must end with an error.
            timeout_seconds: Seconds until the deadline of the request; None for the default.

        Returns:
            The place of the request, which the protocol leaves when the request is answered.

        Raises:
            OverloadedError: There is no room at present, or the answer would come after the deadline.
        """
        self.check(caller, timeout_seconds)
        place = Place(self, caller, give_up)
        place.grow_to(size)
        self._uploads[place] = None
        return place

    def _full(self, caller: Caller) -> OverloadedError:
        return self._refusal(
            f"{self.running} requests are waiting or running; try again",
            retry_after=self._backlog.expected_seconds(caller),
            reason="pending",
        )

    def _refusal(self, message: str, *, retry_after: float, reason: str) -> OverloadedError:
        self.on_refusal()
        return OverloadedError(message, retry_after=max(1, math.ceil(retry_after)), reason=reason)

    def _greediest(self, caller: Caller) -> Place | None:
        """Return the newest running request of the caller with the most, if it has more than `caller` would have."""
        own = (self._number(caller) + 1) / caller.weight
        newest = max((next(reversed(places)) for places in self._running.values()), key=self._share, default=None)
        if newest is None or newest.caller.name == caller.name or self._share(newest) <= own:
            return None
        return newest

    def _share(self, place: Place) -> float:
        """Return the number of running requests of a place's caller for its weight."""
        return self._number(place.caller) / place.caller.weight

    def _number(self, caller: Caller) -> int:
        return len(self._running.get(caller.name, ()))

    def _make_room(self, caller: Caller, size: int) -> None:
        """Free memory for `size` more bytes of a caller, taken from callers that hold more than it will hold."""
        lacking = self._bytes.total() + size - self.max_bytes
        if lacking <= 0:
            return
        held = self._bytes.copy()
        uploads = [upload for upload in self._uploads if upload.size]
        victims = []
        while lacking > 0:
            victim = max(uploads, key=lambda upload: (held[upload.caller.name], upload.size), default=None)
            if victim is None or held[victim.caller.name] <= held[caller.name] + size:
                raise self._refusal(
                    f"the bodies of all requests may have {self.max_bytes} bytes together, which are taken; try again",
                    retry_after=self._backlog.expected_seconds(caller),
                    reason="bytes",
                )
            uploads.remove(victim)
            victims.append(victim)
            held[victim.caller.name] -= victim.size
            lacking -= victim.size
        for victim in victims:
            victim.evict()


class Place:
    """What one request holds."""

    def __init__(self, admission: Admission, caller: Caller, give_up: Callable[[], None]) -> None:
        self._admission = admission
        self.caller = caller
        self.size = 0
        self._give_up: Callable[[], None] | None = give_up

    def grow_to(self, size: int) -> None:
        """Hold `size` bytes, unless the place holds more already.

        Raises:
            OverloadedError: There is no room for them at present.
        """
        if size > self.size:
            self._admission._make_room(self.caller, size - self.size)
            self._admission._bytes[self.caller.name] += size - self.size
            self.size = size

    def run(self) -> None:
        """Take one of the places for running requests, now that the body has arrived.

        Raises:
            OverloadedError: They are all taken.
        """
        admission = self._admission
        if admission.running >= admission.max_requests:
            victim = admission._greediest(self.caller)
            if victim is None:
                raise admission._full(self.caller)
            victim.evict()
        admission._uploads.pop(self, None)
        admission._running.setdefault(self.caller.name, {})[self] = None

    def evict(self) -> None:
        """Free what the request holds for another caller, and let the request end."""
        give_up = self._give_up
        self.leave()
        if give_up is not None:
            give_up()

    def leave(self) -> None:
        """Free what the request holds. A place that was left may be left again."""
        self._give_up = None  # refers to the request, which refers to its place: only the garbage collector frees both
        admission, name = self._admission, self.caller.name
        admission._uploads.pop(self, None)
        admission._bytes[name] -= self.size
        self.size = 0
        if not admission._bytes[name]:
            del admission._bytes[name]
        running = admission._running.get(name, {})
        running.pop(self, None)
        if not running:
            admission._running.pop(name, None)
