"""The composition root: settings in, an ASGI application out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import metadata

from asgi_correlation_id import CorrelationIdMiddleware
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from prometheus_client import CollectorRegistry

from keras_archs.runtimes.runtime import Runtime
from serving import web
from serving.core.admission import Admission
from serving.core.decoding import Decoder
from serving.core.engine import Engine
from serving.core.preload import Preload
from serving.core.service import ClassificationService
from serving.engines.embedded import EmbeddedEngine
from serving.protocols import metrics, problems
from serving.protocols.head import HeadAsGet
from serving.protocols.limits import BodyLimit
from serving.protocols.request_ids import new_request_id, safe_request_id
from serving.protocols.rest import openapi, routes
from serving.settings import Settings

DESCRIPTION = """Versioned image classification endpoints, one per network.

Send an image to `POST /classify/{model}`, or to `POST /explain/{model}` to see which places of the image are evidence
for a class. Errors are `application/problem+json`."""


def create_app(settings: Settings) -> FastAPI:
    """Create the gateway for one repository. The application's lifespan starts and stops the engine."""
    engine = create_engine(settings)
    service = ClassificationService(
        engine,
        Decoder(
            workers=settings.workers,
            max_pixels=settings.max_pixels,
            max_memory=settings.decode_memory_mb * 10**6,
        ),
        timeout_seconds=settings.request_timeout,
    )
    registry = CollectorRegistry()
    registry.register(metrics.EngineMetrics(engine))

    preload = Preload(engine, settings.preload, retry_seconds=settings.poll_seconds)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await engine.start()
        preload.start()
        yield
        await preload.close()
        await engine.close()
        await service.close()

    app = FastAPIOffline(
        title="keras-archs gateway",
        version=metadata.version("keras-archs"),
        description=DESCRIPTION,
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would go to whatever host the client names
    )
    app.state.settings = settings
    app.state.service = service
    app.state.preload = preload

    problems.install(app)
    openapi.install(app)
    for router in (*routes.ROUTERS, metrics.create_router(registry), web.router):
        app.include_router(router)

    app.add_middleware(
        BodyLimit,
        admission=Admission(max_requests=settings.max_pending, max_bytes=settings.max_bodies_bytes),
        max_bytes=settings.max_body_bytes,
        timeout=settings.upload_timeout,
    )
    app.add_middleware(HeadAsGet)
    app.add_middleware(metrics.RequestMetrics, registry=registry, published=engine.model_names)
    # added last, so that it is outermost and everything inside has a request id
    app.add_middleware(CorrelationIdMiddleware, generator=new_request_id, validator=None, transformer=safe_request_id)
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
        memory_limit=settings.memory_limit_mb * 10**6,
    )


def create_runtime(settings: Settings) -> Runtime:
    """Create the runtime that the settings select, importing only its library."""
    if settings.runtime == "tensorflow":
        from keras_archs.runtimes.tensorflow_runtime import TensorFlowRuntime

        return TensorFlowRuntime(threads=settings.threads)
    from keras_archs.runtimes.openvino_runtime import OpenVinoRuntime

    return OpenVinoRuntime(
        precision=settings.precision,
        threads=settings.threads,
        streams=settings.streams,
        cache_dir=settings.conversion_cache,
    )
