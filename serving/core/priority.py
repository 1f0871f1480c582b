"""The order in which Linux runs the gateway's threads, of which there are more than cores under load."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from typing import Final

NICER: Final = 5
"""Steps of niceness between the event loop and the threads that compute."""


def let_finish() -> None:
    """Let this thread, and the threads that it starts later, wait for a running thread's slice instead of ending it.

    Each request that arrives wakes the event loop. Under overload it would drive a thread that computes from its core,
    and its data from the core's caches, a thousand times a second. With the policy for batches, what arrives during a
    slice of some milliseconds is handled together: with two cores and three times the requests that they can answer, a
    fifth more answers, and refusals no later than before.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a container may forbid it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def give_way() -> None:
    """Lower the priority of this thread, and of the threads that it starts later.

    The event loop needs little time, but then soon: otherwise even refusals wait for tens of milliseconds. Only Linux
    has priorities of threads.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICER)
