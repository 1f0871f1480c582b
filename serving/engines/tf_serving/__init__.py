"""The engine that calls TensorFlow Serving over gRPC, without TensorFlow in this process."""

from __future__ import annotations

from contextlib import nullcontext

from serving.engines.tf_serving.backend import Backend, Outgoing, Tls
from serving.engines.tf_serving.engine import TfServingEngine
from serving.engines.tf_serving.names import Target
from serving.engines.tf_serving.pool import BackendPool
from serving.settings import Settings


def create(settings: Settings, outgoing: Outgoing | None = None) -> TfServingEngine:
    """Create the engine that the settings describe.

    Args:
        settings: The gateway's settings.
        outgoing: Surrounds each prediction, and gives its metadata; None for no metadata.

    Raises:
        ValueError: A backend is not host:port.
        OSError: A certificate or key cannot be read.
    """
    authority, certificate, key = settings.backend_ca, settings.backend_certificate, settings.backend_key
    tls = Tls.read(authority, certificate, key) if authority else None

    def connect(address: str, host: str) -> Backend:
        return Backend(
            address,
            host=host,
            tls=tls,
            max_message_bytes=int(settings.backend_message_mb * 1e6),
            patience=settings.request_timeout / 2,
            outgoing=outgoing or (lambda _: nullcontext(())),
        )

    pool = BackendPool([Target.parse(backend) for backend in settings.backend], connect)
    return TfServingEngine(settings.repository, pool, poll_seconds=settings.poll_seconds)


__all__ = ["TfServingEngine", "create"]
