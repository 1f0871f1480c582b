"""The order in which Linux runs the gateway's threads, of which there are more than cores under load."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from typing import Final

COMPUTING: Final = 10
"""The least niceness of threads that compute.

Refusals come no sooner with more, which would leave those threads next to nothing beside a busy program of the same
session: a tenth of a core with 10, a seventieth with 19.
"""
URGENT_SECONDS: Final = 1.0
"""How long the event loop is urgent after a refusal, at least."""


class LoopPriority:
    """Whether the event loop takes a core at once, or waits for the end of a computing thread's slice.

    Each packet wakes the event loop. If it takes a core at once, a thread that computes loses its core, and its data
    the caches, several times for a request, which costs 3 % of the answers. With the policy for batches, what arrives
    during a slice of some milliseconds is handled together. Answers come no later for that, but of the refusals, which
    should take less than 10 ms, 7 % would take longer. So the event loop is urgent while it refuses requests.

    Only Linux has policies of threads, and a container may forbid them: the event loop then is always urgent.
    """

    def __init__(self) -> None:
        """Let this thread, which will run the event loop, and the threads that it starts, wait for slices' ends."""
        self._refused = False  # since the last look
        self._is_urgent = False
        _set_policy("SCHED_BATCH")

    def refused(self) -> None:
        """Take note of a refusal, on the thread of the running event loop."""
        self._refused = True
        if not self._is_urgent:
            self._is_urgent = True
            _set_policy("SCHED_OTHER")
            self._look_later()

    def _look_later(self) -> None:
        self._refused = False
        asyncio.get_running_loop().call_later(URGENT_SECONDS, self._look)

    def _look(self) -> None:
        if self._refused:
            self._look_later()
        else:
            self._is_urgent = False
            _set_policy("SCHED_BATCH")


def give_way() -> None:
    """Lower the priority of this thread, and of the threads that it starts later, as far as Linux can.

    The event loop needs little time, but then soon: otherwise even refusals wait for tens of milliseconds. Niceness
    counts within a container, a service or a session, so that programs elsewhere on the machine get no more of the
    processor. Only Linux has priorities of threads.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, max(COMPUTING, os.getpriority(os.PRIO_PROCESS, thread)))


def _set_policy(name: str) -> None:
    """Set the policy of this thread."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a container may forbid it
            os.sched_setscheduler(0, getattr(os, name), os.sched_param(0))
