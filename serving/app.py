"""The application factory: settings in, an ASGI application out."""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import metadata, resources
from uuid import UUID

from asgi_correlation_id import CorrelationIdMiddleware
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from keras_archs.runtimes.runtime import Runtime
from serving.core.engine import Engine
from serving.core.errors import ServingError
from serving.core.repository import ModelSpec
from serving.core.service import ClassificationService
from serving.engines.embedded import EmbeddedEngine
from serving.protocols import problems
from serving.protocols.limits import BodyLimit
from serving.protocols.metrics import EngineMetrics, RequestMetrics
from serving.protocols.rest import openapi, routes
from serving.settings import Settings

log = logging.getLogger(__name__)

WEB = resources.files("serving") / "web"

DESCRIPTION = """Versioned image classification endpoints, one per network.

Send an image to `POST /classify/{model}`, or to `POST /explain/{model}` to see where the network looks.
Errors are `application/problem+json`."""


def create_app(settings: Settings) -> FastAPI:
    """The gateway for one repository. Its engine starts and stops with the application."""
    service = create_service(settings)
    registry = CollectorRegistry()
    registry.register(EngineMetrics(service.engine))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.engine.start()
        for name in settings.preload:
            try:
                await service.engine.acquire(ModelSpec(name))
            except ServingError as error:
                log.error("cannot preload %s: %s", name, error)
        yield
        await service.engine.close()
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
    for router in (routes.classify, routes.explain, routes.models, routes.health):
        app.include_router(router)

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        return HTMLResponse((WEB / "index.html").read_text(encoding="utf-8"))

    app.mount("/static", StaticFiles(packages=[("serving", "web")]))

    app.add_middleware(BodyLimit, max_bytes=int(settings.max_body_mb * 1e6), timeout=settings.upload_timeout)
    app.add_middleware(RequestMetrics, registry=registry, published=service.engine.names)
    # last, so it is outermost: everything inside has a request id
    app.add_middleware(CorrelationIdMiddleware, generator=request_id)
    return app


def request_id() -> str:
    """A random UUID, without asking the kernel for randomness at each request as `uuid4` does."""
    return UUID(int=random.getrandbits(128), version=4).hex


def create_service(settings: Settings) -> ClassificationService:
    """The classification service that the settings describe; the caller starts and closes its engine."""
    return ClassificationService(
        create_engine(settings),
        decode_workers=settings.workers,
        max_pixels=settings.max_pixels,
        max_pending=settings.max_pending,
        timeout=settings.request_timeout,
    )


def create_engine(settings: Settings) -> Engine:
    """The engine that the settings name. Only that one's libraries are imported."""
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
    """The runtime that the settings name. Only that one's library is imported."""
    if settings.runtime == "tensorflow":
        from keras_archs.runtimes.tensorflow_runtime import TensorFlowRuntime

        return TensorFlowRuntime()
    from keras_archs.runtimes.openvino_runtime import OpenVinoRuntime

    return OpenVinoRuntime(precision=settings.precision, streams=settings.streams, cache_dir=settings.conversion_cache)
