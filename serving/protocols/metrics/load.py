"""How full the gateway is."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge

from serving.core.access import Caller
from serving.core.admission import Admission
from serving.core.backlog import Backlog

_NEW_CALLER = Caller("")


class LoadMetrics:
    """Samples admission and backlog."""

    def __init__(self, registry: CollectorRegistry, admission: Admission, backlog: Backlog) -> None:
        """Register the metrics."""
        self._admission = admission
        self._backlog = backlog

        def gauge(name: str, description: str, mode: str) -> Gauge:
            return Gauge(f"keras_archs_{name}", description, registry=registry, multiprocess_mode=mode)  # type: ignore[arg-type]

        self._pending = gauge("pending", "Requests that wait or run, whose body has arrived.", "livesum")
        self._pending_limit = gauge("pending_limit", "Largest number of pending requests.", "livesum")
        self._uploading = gauge("uploading", "Requests whose body is arriving.", "livesum")
        self._body_bytes = gauge("body_bytes", "Bytes of the bodies of all requests.", "livesum")
        self._body_bytes_limit = gauge("body_bytes_limit", "Largest number of bytes of all bodies.", "livesum")
        self._expected_seconds = gauge(
            "expected_seconds", "Estimated seconds that the request of a further caller would take now.", "livemax"
        )

    def sample(self) -> None:
        """Bring the gauges up to date."""
        self._pending.set(self._admission.running)
        self._pending_limit.set(self._admission.max_requests)
        self._uploading.set(self._admission.uploading)
        self._body_bytes.set(self._admission.held_bytes)
        self._body_bytes_limit.set(self._admission.max_bytes)
        self._expected_seconds.set(self._backlog.expected_seconds(_NEW_CALLER))
