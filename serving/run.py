"""The gateway's process: settings, logging, a listening socket, uvicorn."""

from __future__ import annotations

import functools
import gc
import logging
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn
from asgi_correlation_id import CorrelationIdFilter
from pydantic import ValidationError
from starlette.types import ASGIApp

from serving.app import create_app
from serving.protocols.connections import ConnectionLimits, LimitedConnection
from serving.settings import PREFIX, Settings
from serving.web import SAMPLE

RESERVED_DESCRIPTORS = 100
"""File descriptors for all but clients' connections: models, libraries, backends, the log."""

log = logging.getLogger(__name__)


def serve(**flags: Any) -> None:
    """Run the gateway until SIGINT or SIGTERM, then finish the requests in flight.

    After SIGTERM the process ends with code 0.

    Args:
        **flags: Settings by name; they override environment variables.

    Raises:
        ValueError: A setting is invalid.
        OSError: The address is in use or does not exist.
    """
    try:
        settings = Settings(**flags)
    except ValidationError as error:
        # a default that depends on an invalid setting is no error of its own
        invalid = [details for details in error.errors() if details["type"] != "default_factory_not_called"]
        raise ValueError("; ".join(map(_describe, invalid))) from None
    _log_to_stderr(settings.log_level)
    limits = ConnectionLimits(
        connections=max(1, min(settings.max_connections, _raise_descriptor_limit() - RESERVED_DESCRIPTORS)),
        head_seconds=settings.header_timeout,
        answer_seconds=settings.upload_timeout,
    )
    server = create_server(create_app(settings), limits, shutdown_timeout=settings.shutdown_timeout)
    gc.collect()
    gc.freeze()  # modules are never garbage, and looking through them again and again stops all threads for 0.1 s
    with _listen(settings.host, settings.port) as listener:
        _handle_signals()
        _announce(settings, listener.getsockname()[1])
        server.run(sockets=[listener])


def create_server(app: ASGIApp, limits: ConnectionLimits, *, shutdown_timeout: int) -> uvicorn.Server:
    """Create a server whose connections are limited.

    Args:
        app: Application to serve.
        limits: Limits on connections.
        shutdown_timeout: Seconds for requests in flight to finish at shutdown.
    """
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http=functools.partial(LimitedConnection, limits=limits),  # type: ignore[arg-type]  # called, never derived
            ws="none",
            log_config=None,
            access_log=False,  # /metrics counts requests at a fraction of the cost of a log line each
            server_header=False,
            timeout_graceful_shutdown=shutdown_timeout,
            timeout_notify=0,  # at each of uvicorn's ticks, once a second
        )
    )

    async def check_connections() -> None:
        for connection in list(server.server_state.connections):
            connection.check()  # type: ignore[union-attr]

    server.config.callback_notify = check_connections
    return server


def _raise_descriptor_limit() -> int:
    """Raise the soft limit on file descriptors to the hard limit, and return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return sys.maxsize if hard == resource.RLIM_INFINITY else hard


def _handle_signals() -> None:
    """Set what SIGTERM and SIGHUP do; uvicorn finishes the requests in flight before it passes SIGTERM on."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL and not (sys.stdin and sys.stdin.isatty()):
        # a service manager asks for a reload; at a terminal, the signal means that the terminal was closed
        signal.signal(
            signal.SIGHUP, lambda *_: log.info("SIGHUP: nothing to reload, because the repository is watched")
        )


def _describe(error: Any) -> str:
    """Return one of Pydantic's errors with the setting, its variable, and the received value."""
    if not error["loc"]:
        return str(error["msg"]).removeprefix("Value error, ")
    name = ".".join(str(part) for part in error["loc"])
    return f"setting {name} ({PREFIX}{name.upper()}): {error['msg']}; got {error['input']!r}"


def _log_to_stderr(level: str) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s [%(correlation_id)s] %(name)s: %(message)s"))
    handler.addFilter(CorrelationIdFilter(default_value="-"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    # a line for each malformed form, of which `failure_log` has one already, and no more than a disk can hold
    logging.getLogger("python_multipart").setLevel(logging.ERROR)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    try:
        # bound before models are loaded, so that a port in use is reported at once
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise OSError(f"cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}") from error


def _announce(settings: Settings, port: int) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{port}"
    model = settings.preload[0] if settings.preload else "efficientnet-lite0"
    sample = SAMPLE.relative_to(Path.cwd()) if SAMPLE.is_relative_to(Path.cwd()) else SAMPLE
    print(  # noqa: T201  the command's output
        f"\n  page  {url}/\n  docs  {url}/docs\n"
        f"  try   curl -s -H 'Content-Type: image/jpeg' --data-binary @{sample} {url}/classify/{model}\n",
        flush=True,
    )
