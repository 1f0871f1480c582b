"""What engines share: the repository as it was when it was last readable, looked at again and again."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from keras_archs.repository.models_config import VersionPolicy
from serving.core.repository import ModelEntry, RepositoryError, scan, unknown_model

log = logging.getLogger(__name__)


class RepositoryWatch:
    """The models of a repository. An unreadable one is a problem, and what was there before stays."""

    def __init__(self, repository: Path, *, poll_seconds: float, unconfigured: VersionPolicy | None = None) -> None:
        """Prepares to watch; `start` begins.

        Args:
            repository: Its folder.
            poll_seconds: How often it is looked at.
            unconfigured: See `scan`.
        """
        self.entries: Mapping[str, ModelEntry] = {}
        self.problem: str | None = "the repository has not been read yet"
        self._scan = functools.partial(scan, repository, unconfigured=unconfigured)
        self._poll_seconds = poll_seconds
        self._task: asyncio.Task[None] | None = None

    async def start(self, looked: Callable[[], Awaitable[None]]) -> None:
        """Looks once, and from now on every so often; `looked` is awaited after each look."""
        await self._look()
        await looked()
        self._task = asyncio.create_task(self._watch(looked), name="watch repository")

    async def close(self) -> None:
        """Stops looking."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def entry(self, name: str) -> ModelEntry:
        """The model of that name; ModelNotFoundError if there is none."""
        try:
            return self.entries[name]
        except KeyError:
            raise unknown_model(name, self.entries) from None

    async def _watch(self, looked: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(self._poll_seconds)
            try:
                await self._look()
                await looked()
            except Exception:  # whatever it is, the next look may go well, and without a next look nothing will
                log.exception("cannot look at the repository")

    async def _look(self) -> None:
        try:
            self.entries = await asyncio.to_thread(self._scan)
        except (RepositoryError, OSError) as error:
            if str(error) != self.problem:
                log.error("%s; serving what was there before", error)
            self.problem = str(error)
            return
        self.problem = None
