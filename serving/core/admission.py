"""Admission: how many requests, and how many bytes of their bodies, the gateway holds at the same time.

Every protocol asks before it reads a body. The memory is shared between clients: when it is full, the client whose
bodies take the most of it loses one that is still arriving to a client that holds less.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from serving.core.errors import OverloadedError


class Admission:
    """The limits, and what is admitted at present. Use it on the event loop only."""

    def __init__(self, *, max_requests: int, max_bytes: int) -> None:
        """Start with nothing admitted.

        Args:
            max_requests: Requests that may wait or run at the same time, from the end of their body to their answer.
            max_bytes: Bytes of all bodies, from the first byte to the answer.
        """
        self.max_requests = max_requests
        self.max_bytes = max_bytes
        self._running = 0
        self._bytes: Counter[str] = Counter()  # by client
        self._uploads: dict[Place, None] = {}  # whose body is arriving, in order of arrival

    def enter(self, client: str, size: int, give_up: Callable[[], None]) -> Place:
        """Admit a request whose body has not been read.

        Args:
            client: Who sends the request, such as a network address; clients share the memory.
            size: Bytes that the body is known to have, 0 if unknown.
            give_up: Called if another client needs the memory: the body must not be read further.

        Returns:
            The place of the request, which the caller leaves when the request is answered.

        Raises:
            OverloadedError: There is no room at present.
        """
        self._check_running()
        place = Place(self, client, give_up)
        place.grow_to(size)
        self._uploads[place] = None
        return place

    def _check_running(self) -> None:
        if self._running >= self.max_requests:
            raise OverloadedError(f"{self._running} requests are waiting or running; try again")

    def _make_room(self, client: str, size: int) -> None:
        """Free memory for `size` more bytes of a client, taken from clients that hold more than it will hold."""
        lacking = self._bytes.total() + size - self.max_bytes
        if lacking <= 0:
            return
        held = self._bytes.copy()
        uploads = list(self._uploads)
        victims = []
        while lacking > 0:
            victim = max(uploads, key=lambda upload: (held[upload.client], upload.size), default=None)
            if victim is None or held[victim.client] <= held[client] + size:
                raise OverloadedError(
                    f"the bodies of all requests may have {self.max_bytes} bytes together, which are taken; try again"
                )
            uploads.remove(victim)
            victims.append(victim)
            held[victim.client] -= victim.size
            lacking -= victim.size
        for victim in victims:
            victim.leave()
            victim.give_up()


class Place:
    """What one request holds."""

    def __init__(self, admission: Admission, client: str, give_up: Callable[[], None]) -> None:
        self._admission = admission
        self._is_running = False
        self.client = client
        self.give_up = give_up
        self.size = 0

    def grow_to(self, size: int) -> None:
        """Hold `size` bytes, unless the place holds more already.

        Raises:
            OverloadedError: There is no room for them at present.
        """
        if size > self.size:
            self._admission._make_room(self.client, size - self.size)
            self._admission._bytes[self.client] += size - self.size
            self.size = size

    def run(self) -> None:
        """Take one of the places for running requests, now that the body has arrived.

        Raises:
            OverloadedError: They are all taken.
        """
        self._admission._check_running()
        self._admission._uploads.pop(self, None)
        self._admission._running += 1
        self._is_running = True

    def leave(self) -> None:
        """Free what the request holds. A place that was left may be left again."""
        self._admission._uploads.pop(self, None)
        self._admission._bytes[self.client] -= self.size
        if not self._admission._bytes[self.client]:
            del self._admission._bytes[self.client]
        self._admission._running -= self._is_running
        self.size, self._is_running = 0, False
