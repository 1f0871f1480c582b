"""Models that have to answer before the gateway is ready."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable

from serving.core.engine import Engine
from serving.core.errors import ServingError
from serving.core.repository import ModelSpec

log = logging.getLogger(__name__)


class Preload:
    """Loads models at the start, and tries again until each of them has been loaded once.

    What happens to a model later is a matter of its status: it does not make the gateway unready again.
    """

    def __init__(self, engine: Engine, names: Iterable[str], *, retry_seconds: float) -> None:
        """Prepare to load models, which `start` begins.

        Args:
            engine: Engine to load the models into, started before `start`.
            names: Names of the models.
            retry_seconds: Seconds between two attempts; the engine decides whether an attempt really loads again.
        """
        self._engine = engine
        self._retry_seconds = retry_seconds
        self._pending = dict.fromkeys(names, "it is still loading")  # why each model is not loaded yet
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to load the models in the background."""
        self._task = asyncio.create_task(self._load_all(), name="preload")

    async def close(self) -> None:
        """Stop trying."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def not_ready_reason(self) -> str | None:
        """Return the models that have not been loaded yet, with the reasons; None if there are none."""
        if not self._pending:
            return None
        return "; ".join(f"cannot preload {name}: {reason}" for name, reason in self._pending.items())

    async def _load_all(self) -> None:
        while True:
            for name in list(self._pending):
                await self._load(name)
            if not self._pending:
                return
            await asyncio.sleep(self._retry_seconds)

    async def _load(self, name: str) -> None:
        try:
            await self._engine.acquire(ModelSpec(name))
        except ServingError as error:
            reason = str(error)
            if reason != self._pending[name]:
                log.error("cannot preload %s: %s", name, reason)
            self._pending[name] = reason
        except Exception:  # the task must survive any error: without it the gateway would never be ready
            log.exception("cannot preload %s", name)
            self._pending[name] = "the attempt failed; the gateway's log has the details"
        else:
            del self._pending[name]
