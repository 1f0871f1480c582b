"""Files, folders and addresses that are read again at intervals, in the background."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)


class Reloading:
    """A task that calls a function again and again."""

    def __init__(self, reload: Callable[[], Awaitable[None]], *, seconds: float, failure: str) -> None:
        """Prepare the task, which `start` begins.

        Args:
            reload: What to call.
            seconds: Seconds between two calls.
            failure: What the log says of a call that fails.
        """
        self._reload = reload
        self._seconds = seconds
        self._failure = failure
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to call the function."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop calling it."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self._reload()
            except Exception:  # the task must survive any error, or changes would never be seen again
                log.exception(self._failure)
