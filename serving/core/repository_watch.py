"""Periodic reading of the model repository."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from keras_archs.repository.models_config import VersionPolicy
from serving.core.repository import ModelEntry, RepositoryError, model_not_found, scan

log = logging.getLogger(__name__)


class RepositoryWatch:
    """The models of a repository, read again at an interval.

    Attributes:
        entries: Served models by name, as of the last successful read.
        error: Why the last read failed; None if it succeeded.
    """

    def __init__(self, repository: Path, *, poll_seconds: float, default_policy: VersionPolicy | None = None) -> None:
        """Prepare a watch, which `start` begins.

        Args:
            repository: Folder of the model repository.
            poll_seconds: Interval between two reads.
            default_policy: See `scan`.
        """
        self.entries: Mapping[str, ModelEntry] = {}
        self.error: str | None = "the repository has not been read yet"
        self._scan = functools.partial(scan, repository, default_policy=default_policy)
        self._poll_seconds = poll_seconds
        self._task: asyncio.Task[None] | None = None

    async def start(self, on_poll: Callable[[], Awaitable[None]]) -> None:
        """Read the repository now and from then on at the interval; await `on_poll` after each read."""
        await self._poll()
        await on_poll()
        self._task = asyncio.create_task(self._watch(on_poll), name="watch repository")

    async def close(self) -> None:
        """Stop reading."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def entry(self, name: str) -> ModelEntry:
        """Return the model of this name; raise ModelNotFoundError if it is not published."""
        try:
            return self.entries[name]
        except KeyError:
            raise model_not_found(name, self.entries) from None

    async def _watch(self, on_poll: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(self._poll_seconds)
            try:
                await self._poll()
                await on_poll()
            except Exception:  # the task must survive any error: without it no later change would ever be seen
                log.exception("cannot poll the repository")

    async def _poll(self) -> None:
        try:
            self.entries = await asyncio.to_thread(self._scan)
        except (RepositoryError, OSError) as error:
            if str(error) != self.error:
                log.error("%s; still serving the models of the last successful read", error)
            self.error = str(error)
            return
        self.error = None
