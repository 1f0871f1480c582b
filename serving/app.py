"""The composition root: settings in, an ASGI application out."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import metadata
from typing import TYPE_CHECKING

from asgi_correlation_id import CorrelationIdMiddleware
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from keras_archs.runtimes.runtime import Runtime
from serving import web
from serving.core.access import Access, Credentials
from serving.core.admission import Admission
from serving.core.backlog import Backlog
from serving.core.decoding import Decoder
from serving.core.engine import Engine
from serving.core.keys import Keys
from serving.core.observer import Observer
from serving.core.preload import Preload
from serving.core.service import ClassificationService
from serving.engines.embedded import EmbeddedEngine
from serving.protocols import problems
from serving.protocols.access import Identification
from serving.protocols.access_log import AccessLog
from serving.protocols.early_refusal import EarlyRefusal
from serving.protocols.exchanges import ExchangeObserver, Recorder, RecordExchanges
from serving.protocols.head import HeadAsGet
from serving.protocols.limits import BodyLimit, BodyLimits
from serving.protocols.metrics import GatewayMetrics
from serving.protocols.open_inference import routes as open_inference
from serving.protocols.request_ids import new_request_id, safe_request_id
from serving.protocols.rest import openapi, routes
from serving.protocols.security_headers import SecurityHeaders
from serving.protocols.tensorflow_rest import routes as tensorflow_rest
from serving.settings import Settings
from serving.tls import Certificate

if TYPE_CHECKING:
    from serving.tracing import Tracing

DESCRIPTION = """Versioned image classification endpoints, one per network.

Send an image to `POST /classify/{model}`, or to `POST /explain/{model}` to see which places of the image are evidence
for a class. Errors are `application/problem+json`."""


def create_app(settings: Settings) -> FastAPI:
    """Create the gateway for one repository. The application's lifespan starts and stops the engine."""
    tracing = create_tracing(settings)
    engine = create_engine(settings, tracing)
    backlog = Backlog()
    admission = Admission(
        max_requests=settings.max_pending,
        max_bytes=settings.max_bodies_bytes,
        timeout_seconds=settings.request_timeout,
        backlog=backlog,
    )
    metrics = GatewayMetrics(engine, admission, backlog)
    recorders, observers = _observability(settings, metrics, tracing)
    bodies = BodyLimits(settings.max_body_bytes, settings.upload_timeout, settings.min_upload_rate)
    service = ClassificationService(
        engine,
        Decoder(
            workers=settings.workers if settings.engine == "embedded" else settings.threads,
            max_pixels=settings.max_pixels,
            max_memory=settings.decode_memory_mb * 10**6,
        ),
        timeout_seconds=settings.request_timeout,
        backlog=backlog,
        observers=observers,
    )
    access, certificate = create_access(settings), create_certificate(settings)
    preload = Preload(engine, settings.preload, retry_seconds=settings.poll_seconds)
    background = (preload, access, *((certificate,) if certificate else ()))

    stopping = asyncio.Event()

    def not_ready_reason() -> str | None:
        if stopping.is_set():
            return "the gateway is shutting down"
        return engine.not_ready_reason() or preload.not_ready_reason()

    grpc_server = None
    if settings.grpc_port is not None:
        from serving.protocols.open_inference.grpc_server import GrpcServer, InferenceService

        methods = InferenceService(service, not_ready_reason, max_images=settings.max_images)
        grpc_server = GrpcServer(settings, methods, access, admission, bodies, recorders)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await engine.start()
        for task in background:
            task.start()
        if grpc_server:
            await grpc_server.start()
        async with metrics.sampling():
            yield
        if grpc_server:
            await grpc_server.close()
        for task in background:
            await task.close()
        await engine.close()
        await service.close()
        if tracing:
            await asyncio.to_thread(tracing.close)

    app = FastAPIOffline(
        title="keras-archs gateway",
        version=metadata.version("keras-archs"),
        description=DESCRIPTION,
        lifespan=lifespan,
        redoc_url=None,
        # FastAPI's own would send queries and exceptions wherever a global provider sends spans
        telemetry={"tracing": False, "metrics": False, "logs": False},
        redirect_slashes=False,  # a redirect would go to whatever host the client names
    )
    app.state.settings = settings
    app.state.service = service
    app.state.admission = admission
    app.state.metrics = metrics
    app.state.preload = preload
    app.state.access = access
    app.state.certificate = certificate
    app.state.not_ready_reason = not_ready_reason
    app.state.drain = stopping.set
    app.state.refuse_early = EarlyRefusal(access, admission, recorders, settings.trusted_proxies).answer
    app.state.reload = functools.partial(_reload, service, access, admission, bodies)

    problems.install(app)
    openapi.install(app)
    for router in (*routes.ROUTERS, open_inference.router, tensorflow_rest.router, metrics.router(), web.router):
        app.include_router(router)

    _add_middleware(app, settings, access, admission, bodies, recorders)
    return app


async def _reload(
    service: ClassificationService, access: Access, admission: Admission, bodies: BodyLimits, settings: Settings
) -> None:
    """Take those settings that may change, and the keys."""
    admission.max_requests, admission.max_bytes = settings.max_pending, settings.max_bodies_bytes
    admission.timeout_seconds = service.timeout_seconds = settings.request_timeout
    bodies.seconds, bodies.least_rate = settings.upload_timeout, settings.min_upload_rate
    access.set_rates(requests_per_minute=settings.requests_per_minute, bytes_per_minute=settings.bytes_per_minute)
    await access.reload()


def _observability(
    settings: Settings, metrics: GatewayMetrics, tracing: Tracing | None
) -> tuple[list[Recorder], list[Observer]]:
    """Return what records the requests, and what observes the service."""
    recorders: list[Recorder] = [metrics.requests]
    observers: list[Observer] = [ExchangeObserver(), metrics.models]
    if settings.access_log:
        recorders.append(AccessLog())
    if tracing:
        recorders.append(tracing.requests)
        observers.append(tracing.phases)
    return recorders, observers


def _add_middleware(
    app: FastAPI,
    settings: Settings,
    access: Access,
    admission: Admission,
    bodies: BodyLimits,
    recorders: Sequence[Recorder],
) -> None:
    """Wrap the routes, from the innermost layer to the outermost."""
    app.add_middleware(
        BodyLimit,
        access=access,
        admission=admission,
        limits=bodies,
    )
    app.add_middleware(HeadAsGet)
    app.add_middleware(Identification, access=access, admin_port=settings.admin_port)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "X-API-Key", "X-Request-ID"],
            expose_headers=["Server-Timing", "X-Request-ID", "Retry-After", "RateLimit", "RateLimit-Policy"],
        )
    app.add_middleware(RecordExchanges, recorders=recorders)
    if settings.trusted_proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.trusted_proxies))
    app.add_middleware(SecurityHeaders)
    # added last, so that it is outermost and everything inside has a request id
    app.add_middleware(CorrelationIdMiddleware, generator=new_request_id, validator=None, transformer=safe_request_id)


def create_access(settings: Settings) -> Access:
    """Create the access control that the settings select."""
    accepted: list[Credentials] = []
    if settings.keys is not None:
        accepted.append(Keys(settings.keys, poll_seconds=settings.poll_seconds))
    if settings.jwt_issuer and settings.jwt_audience and settings.jwt_keys:
        from serving.core.tokens import Tokens  # with a library of 20 MB

        accepted.append(
            Tokens(
                issuer=settings.jwt_issuer,
                audience=settings.jwt_audience,
                keys=settings.jwt_keys,
                models_claim=settings.jwt_models_claim,
                poll_seconds=settings.poll_seconds,
            )
        )
    return Access(
        accepted,
        requests_per_minute=settings.requests_per_minute,
        bytes_per_minute=settings.bytes_per_minute,
    )


def create_tracing(settings: Settings) -> Tracing | None:
    """Create what makes traces if the setting is on, importing only its libraries."""
    if not settings.tracing:
        return None
    from serving.tracing import Tracing

    return Tracing.from_environment()


def create_certificate(settings: Settings) -> Certificate | None:
    """Read the certificate that the settings select; None without TLS."""
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    return Certificate(settings.tls_certificate, settings.tls_key, poll_seconds=settings.poll_seconds)


def create_engine(settings: Settings, tracing: Tracing | None = None) -> Engine:
    """Create the engine that the settings select, importing only its libraries.

    Args:
        settings: The gateway's settings.
        tracing: Continues the traces of requests in TensorFlow Serving; None for no traces.
    """
    if settings.engine == "tf-serving":
        from serving.engines.tf_serving import create

        return create(settings, tracing.outgoing if tracing else None)
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
