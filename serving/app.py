"""The composition root: settings in, an ASGI application out."""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import metadata
from uuid import UUID

from asgi_correlation_id import CorrelationIdMiddleware
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from prometheus_client import CollectorRegistry

from keras_archs.runtimes.runtime import Runtime
from serving import web
from serving.core.engine import Engine
from serving.core.errors import ServingError
from serving.core.repository import ModelSpec
from serving.core.service import ClassificationService
from serving.engines.embedded import EmbeddedEngine
from serving.protocols import metrics, problems
from serving.protocols.limits import BodyLimit
from serving.protocols.rest import openapi, routes
from serving.settings import Settings

log = logging.getLogger(__name__)

DESCRIPTION = """Versioned image classification endpoints, one per network.

Send an image to `POST /classify/{model}`, or to `POST /explain/{model}` to see which places of the image are evidence
for a class. Errors are `application/problem+json`."""


def create_app(settings: Settings) -> FastAPI:
    """Create the gateway for one repository. The application's lifespan starts and stops the engine."""
    engine = create_engine(settings)
    service = ClassificationService(
        engine,
        decode_workers=settings.workers,
        max_pixels=settings.max_pixels,
        max_pending=settings.max_pending,
        timeout_seconds=settings.request_timeout,
    )
    registry = CollectorRegistry()
    registry.register(metrics.EngineMetrics(engine))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await engine.start()
        for name in settings.preload:
            try:
                await engine.acquire(ModelSpec(name))
            except ServingError as error:
                log.error("cannot preload %s: %s", name, error)
        yield
        await engine.close()
        await service.close()

    app = FastAPIOffline(
        title="keras-archs gateway",
        version=metadata.version("keras-archs"),
        description=DESCRIPTION,
        lifespan=lifespan,
        redoc_url=None,
    )
    app.state.settings = settings
    app.state.service = service

    problems.install(app)
    openapi.install(app)
    for router in (*routes.ROUTERS, metrics.create_router(registry), web.router):
        app.include_router(router)

    app.add_middleware(BodyLimit, max_bytes=int(settings.max_body_mb * 1e6), timeout=settings.upload_timeout)
    app.add_middleware(metrics.RequestMetrics, registry=registry, published=engine.model_names)
    # added last, so that it is outermost and everything inside has a request id
    app.add_middleware(CorrelationIdMiddleware, generator=_request_id)
    return app


def create_engine(settings: Settings) -> Engine:
    """Create the engine that the settings select, importing only its libraries."""
    if settings.engine == "tf-serving":
        from serving.engines.tf_serving import create

        return create(settings)
    return EmbeddedEngine(
        settings.repository,
        create_runtime(settings),
        workers=settings.workers,
        poll_seconds=settings.poll_seconds,
        memory_limit=settings.memory_limit_mb and settings.memory_limit_mb * 10**6,
    )


def create_runtime(settings: Settings) -> Runtime:
    """Create the runtime that the settings select, importing only its library."""
    if settings.runtime == "tensorflow":
        from keras_archs.runtimes.tensorflow_runtime import TensorFlowRuntime

        return TensorFlowRuntime()
    from keras_archs.runtimes.openvino_runtime import OpenVinoRuntime

    return OpenVinoRuntime(precision=settings.precision, streams=settings.streams, cache_dir=settings.conversion_cache)


def _request_id() -> str:
    """Return a random UUID; unlike `uuid4` it does not ask the kernel for randomness at each request."""
    return UUID(int=random.getrandbits(128), version=4).hex
