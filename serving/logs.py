"""The log: text for people, or a JSON object per line for machines.

The application's log goes to stderr, the access log to stdout. The lines of a request carry its id and, as far as they
are known, the caller, the model, the version and the trace.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from asgi_correlation_id import correlation_id
from pythonjsonlogger.json import JsonFormatter

from serving.protocols.access_log import ACCESS_LOG, FIELDS
from serving.protocols.exchanges import current_exchange
from serving.protocols.failure_log import printable
from serving.settings import Settings

Format = Literal["text", "json"]
Ids = Callable[[], Mapping[str, str]]
"""Returns `trace_id` and `span_id` of the current request; nothing outside of traces."""

NO_ID: Final = "-"
TEXT: Final = "%(asctime)s %(levelname)s [%(request_id)s] %(name)s: %(message)s"
TEXT_WITH_TRACE: Final = TEXT.replace("(request_id)s", "(request_id)s %(trace_id)s")


def configure(settings: Settings) -> None:
    """Set up the log of this process."""
    form, trace = settings.log_format, _trace_ids() if settings.tracing else None
    level = settings.log_level.upper()
    logging.basicConfig(level=level, handlers=[_handler(sys.stderr, _formatter(form, trace), trace)])
    # a line for each malformed form, of which `failure_log` has one already, and no more than a disk can hold
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    log = logging.getLogger(ACCESS_LOG)
    log.setLevel(logging.INFO)  # whatever the level of the application's log
    log.propagate = False
    log.disabled = not settings.access_log
    log.handlers = [_handler(sys.stdout, _formatter(form, trace, _AccessText), trace)]


def set_level(level: str) -> None:
    """Change the least severe messages that are logged."""
    logging.getLogger().setLevel(level.upper())


def _trace_ids() -> Ids:
    from serving.tracing import ids

    return ids


def _handler(stream: Any, formatter: logging.Formatter, trace: Ids | None) -> logging.Handler:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    handler.addFilter(_Context(trace or dict))
    return handler


def _formatter(form: Format, trace: Ids | None, text: type[logging.Formatter] = logging.Formatter) -> logging.Formatter:
    if form == "text":
        return text(TEXT_WITH_TRACE if trace else TEXT, defaults={"trace_id": NO_ID})
    return JsonFormatter(
        ["levelname", "name", "message"],
        rename_fields={"levelname": "level", "name": "logger", "exc_info": "exception"},
        timestamp=True,
    )


class _Context(logging.Filter):
    """Adds what is known about the current request to its lines."""

    def __init__(self, trace: Ids) -> None:
        super().__init__()
        self._trace = trace

    def filter(self, record: logging.LogRecord) -> bool:
        known: dict[str, Any] = {"request_id": correlation_id.get() or NO_ID, **self._trace()}
        if exchange := current_exchange():
            if exchange.caller:
                known["caller"] = exchange.caller
            if exchange.model:
                known["model"] = printable(exchange.model)
            if exchange.work:
                known["version"] = exchange.work.version
        for name, value in known.items():
            record.__dict__.setdefault(name, value)
        return True


class _AccessText(logging.Formatter):
    """Adds the fields of the access log to its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  the name of the overridden method
        known = vars(record)
        return " ".join([super().formatMessage(record), *(f"{name}={known[name]}" for name in FIELDS if name in known)])
