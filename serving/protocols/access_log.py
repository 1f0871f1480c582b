"""The access log: one line for each request, in a logger of its own."""

from __future__ import annotations

import logging
from typing import Any, Final

from serving.protocols.exchanges import Exchange
from serving.protocols.failure_log import printable

ACCESS_LOG: Final = "serving.access"
"""Name of the logger."""
FIELDS: Final = (
    "client",
    "caller",
    "model",
    "version",
    "problem",
    "reason",
    "images",
    "received_bytes",
    "sent_bytes",
    "upload_ms",
    "queue_ms",
    "decode_ms",
    "inference_ms",
    "draw_ms",
    "duration_ms",
)
"""What the records of the logger have beside method, path and status, as far as it is known."""

log = logging.getLogger(ACCESS_LOG)


class AccessLog:
    """Logs requests. Queries, headers and bodies may hold secrets, so they are never logged."""

    def begin(self, exchange: Exchange) -> None:
        """Do nothing: requests are logged when they have ended."""

    def end(self, exchange: Exchange) -> None:
        """Log a request."""
        path = printable(exchange.path)
        fields = {"method": exchange.method, "path": path, "status": exchange.status, **_known(exchange)}
        log.info("%s %s %d", exchange.method, path, exchange.status, extra=fields)


def _known(exchange: Exchange) -> dict[str, Any]:
    known: dict[str, Any] = {
        "client": exchange.client,
        "caller": exchange.caller,
        "model": printable(exchange.model),
        "problem": exchange.problem,
        "reason": exchange.reason,
    }
    known = {name: text for name, text in known.items() if text}
    known |= {"received_bytes": exchange.received, "sent_bytes": exchange.sent}
    if exchange.uploaded is not None:
        known["upload_ms"] = _ms(exchange.uploaded - exchange.started)
    if exchange.ended is not None:
        known["duration_ms"] = _ms(exchange.ended - exchange.started)
    if work := exchange.work:
        known["version"] = work.version
        if work.sizes:
            known["images"] = len(work.sizes)
        known |= {f"{phase}_ms": _ms(seconds) for phase, seconds in work.seconds().items()}
    return known


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 3)
