"""Several processes that do the same work: a process that ends is replaced, until a signal ends them all.

The parent only forks and waits. It must not have threads, and never does the work itself, so that each new process
starts clean.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Collection
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any, Final

YOUNG_SECONDS: Final = 1.0
"""Least time between two starts in place of the same process, so that a process that cannot start is no busy loop."""

log = logging.getLogger(__name__)
_fork = multiprocessing.get_context("fork")


class Processes:
    """The processes. Use it on the main thread, whose signals it handles while it runs."""

    def __init__(
        self, work: Callable[[], None], number: int, *, ended: Callable[[int], None], stopping: Callable[[], None]
    ) -> None:
        """Prepare the processes.

        Args:
            work: What each process does; it ends after SIGTERM.
            number: Number of processes.
            ended: Called with the id of each process that has ended.
            stopping: Called when a signal ends the processes.
        """
        self._work = work
        self._number = number
        self._ended = ended
        self._stopping = stopping
        self._running: dict[BaseProcess, float] = {}  # with the time of the start
        self._stopped_by: int | None = None  # signal
        self._handlers: dict[int, Any] = {}  # of signals, before `run`

    def run(self, pass_on: Collection[signal.Signals] = ()) -> None:
        """Run the processes until SIGINT or SIGTERM, then wait until they have ended.

        Args:
            pass_on: Signals that each process gets when the parent gets them.

        Raises:
            KeyboardInterrupt: The signal was SIGINT; the processes have ended.
        """
        handlers = dict.fromkeys((signal.SIGINT, signal.SIGTERM), self._stop) | dict.fromkeys(pass_on, self._pass_on)
        self._handlers = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            for _ in range(self._number):
                self._start()
            while self._running:
                ended = wait([process.sentinel for process in self._running])
                for process in [process for process in self._running if process.sentinel in ended]:
                    self._replace(process)
        finally:
            self._restore_handlers()
        if self._stopped_by == signal.SIGINT:
            raise KeyboardInterrupt

    def _start(self) -> None:
        process = _fork.Process(target=self._work_alone)
        process.start()
        self._running[process] = time.monotonic()
        if self._stopped_by:  # a signal came meanwhile
            process.terminate()

    def _work_alone(self) -> None:
        self._restore_handlers()
        if self._stopped_by:  # the signal came to this process before it had its own handlers
            return
        with contextlib.suppress(KeyboardInterrupt):  # a terminal sends SIGINT to this process, too
            self._work()

    def _replace(self, process: BaseProcess) -> None:
        process.join()
        age = time.monotonic() - self._running.pop(process)
        self._ended(process.pid or 0)
        if not self._stopped_by:
            log.error("process %d ended with code %s; another takes its place", process.pid, process.exitcode)
            time.sleep(max(0.0, YOUNG_SECONDS - age))
        if not self._stopped_by:
            self._start()

    def _restore_handlers(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _stop(self, number: int, _: Any) -> None:
        self._stopped_by = number
        self._stopping()
        for process in self._running:
            process.terminate()

    def _pass_on(self, number: int, _: Any) -> None:
        for process in self._running:
            if process.pid is not None and process.is_alive():
                os.kill(process.pid, number)
