"""Threads that compute give way to the event loop."""

from __future__ import annotations

import os
import sys
import threading
from typing import Final

NICER: Final = 5
"""Steps of niceness between the event loop and the threads that compute."""


def give_way() -> None:
    """Lower the priority of this thread, and of the threads that it starts later.

    Under load, more threads compute than there are cores. The event loop needs little time, but then at once: otherwise
    even refusals wait for tens of milliseconds. Only Linux has priorities of threads.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICER)
