"""All metrics of a gateway's process."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from serving.core.admission import Admission
from serving.core.backlog import Backlog
from serving.core.engine import Engine
from serving.protocols.metrics.engine import BackendMetrics, EngineMetrics
from serving.protocols.metrics.load import LoadMetrics
from serving.protocols.metrics.models import ModelMetrics
from serving.protocols.metrics.requests import RequestMetrics

PROCESSES_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Variable with the folder in which several processes add up their numbers; prometheus_client reads it, too."""
SAMPLE_SECONDS: Final = 1.0


class GatewayMetrics:
    """The metrics of a gateway, and the route that Prometheus scrapes.

    With several processes, each process writes what it counts to files, and the process that is asked adds up all of
    them. Nobody asks the others, so they take samples of themselves once a second.

    Attributes:
        requests: Counts and times requests to models.
        models: Observes the work of the service.
        registries: What adds up over processes, and what each process knows alike.
    """

    def __init__(self, engine: Engine, admission: Admission, backlog: Backlog) -> None:
        """Register all metrics.

        Args:
            engine: Engine whose states are shown.
            admission: Limits whose use is shown.
            backlog: Work whose amount is shown.
        """
        self._engine = engine
        self._counted, self._states = self.registries = CollectorRegistry(), CollectorRegistry()
        self._states.register(EngineMetrics(engine))
        self._backends = BackendMetrics(self._counted, engine)
        self._load = LoadMetrics(self._counted, admission, backlog)
        self.requests = RequestMetrics(self._counted, engine.model_names)
        self.models = ModelMetrics(self._counted)

    def router(self) -> APIRouter:
        """Create the route that Prometheus scrapes."""
        router = APIRouter(include_in_schema=False)

        @router.get("/metrics")
        async def metrics() -> Response:
            self.sample()
            counted = await asyncio.to_thread(_of_all_processes) if _has_siblings() else generate_latest(self._counted)
            return Response(counted + generate_latest(self._states), media_type=CONTENT_TYPE_LATEST)

        return router

    def sample(self) -> None:
        """Bring the numbers up to date that change without a request's end."""
        self._backends.sample()
        self._load.sample()
        self.models.sample()
        if not _has_siblings():  # prometheus_client cannot forget what is in files
            statuses = self._engine.model_statuses()
            self.models.keep_only({(model, status.version) for model in statuses for status in statuses[model]})

    @asynccontextmanager
    async def sampling(self) -> AsyncIterator[None]:
        """Take samples meanwhile if there are several processes."""
        task = asyncio.create_task(self._sample_forever(), name="sample metrics") if _has_siblings() else None
        try:
            yield
        finally:
            if task:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _sample_forever(self) -> None:
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            self.sample()


def _has_siblings() -> bool:
    return PROCESSES_FOLDER in os.environ


def _of_all_processes() -> bytes:
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # prometheus_client has no type there
    return generate_latest(registry)
