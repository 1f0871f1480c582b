"""Periodic reading of the model repository."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from keras_archs.repository.models_config import CONFIG, VersionPolicy
from serving.core.errors import ModelUnavailableError
from serving.core.reloading import Reloading
from serving.core.repository import Contents, ModelEntry, RepositoryError, model_not_found, scan

log = logging.getLogger(__name__)


class RepositoryWatch:
    """The models of a repository, read again at an interval.

    Attributes:
        entries: Served models by name, as of the last successful read.
        problems: What is not served as it was meant to be, by model name, as of the last successful read.
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
        self.problems: Mapping[str, tuple[str, ...]] = {}
        self.error: str | None = "the repository has not been read yet"
        self._is_configured = False
        self._config_is_missing = False
        self._scan = functools.partial(scan, repository, default_policy=default_policy)
        self._poll_seconds = poll_seconds
        self._reloading: Reloading | None = None

    async def start(self, on_poll: Callable[[], Awaitable[None]]) -> None:
        """Read the repository now and from then on at the interval; await `on_poll` after each read."""

        async def poll() -> None:
            await self.read()
            await on_poll()

        await poll()
        self._reloading = Reloading(poll, seconds=self._poll_seconds, failure="cannot poll the repository")
        self._reloading.start()

    async def close(self) -> None:
        """Stop reading."""
        if self._reloading:
            await self._reloading.close()

    def entry(self, name: str) -> ModelEntry:
        """Return the model of this name.

        Raises:
            ModelNotFoundError: No model of this name is published.
            ModelUnavailableError: The model has no version that can be served.
        """
        if entry := self.entries.get(name):
            return entry
        if problems := self.problems.get(name):
            raise ModelUnavailableError(f"{name} cannot be served: {'; '.join(problems)}")
        raise model_not_found(name, self.entries)

    def not_ready_reason(self) -> str | None:
        """Return why no model can be served; None if a model can.

        A read that fails later is no reason: the models of the last successful read are still served.
        """
        if self.entries:
            return None
        if self.error:
            return self.error
        if self.problems:
            reasons = (f"{name}: {'; '.join(problems)}" for name, problems in self.problems.items())
            return f"no model can be served: {'; '.join(reasons)}"
        if self._is_configured:
            return f"{CONFIG} names no model; `keras-archs repo policy NAME all` serves a model"
        return "the repository contains no model; publish one with `keras-archs export`"

    async def read(self) -> None:
        """Read the repository now. A read that fails changes nothing but `error`."""
        try:
            contents = await asyncio.to_thread(self._scan, previous=self.entries)
        except RepositoryError as error:
            if str(error) != self.error:
                still = "; still serving the models of the last successful read" if self.entries else ""
                log.error("%s%s", error, still)
            self.error = str(error)
            return
        if self._is_configured and not contents.is_configured and not self._config_is_missing:
            self._config_is_missing = True  # for a moment only, if an editor writes the new file after it moved the old
            return
        self._config_is_missing = False
        self._log_changes(contents)
        self.entries, self.problems, self.error = contents.models, contents.problems, None
        self._is_configured = contents.is_configured

    def _log_changes(self, contents: Contents) -> None:
        for name, problems in contents.problems.items():
            for problem in problems:
                if problem not in self.problems.get(name, ()):
                    log.warning("%s: %s", name, problem)
        for name in sorted(self.entries.keys() - contents.models.keys()):
            log.warning("%s is no longer served", name)
        if self.error and self.entries:
            log.info("the repository can be read again")
