"""The gateway's process: settings, logging, a listening socket, uvicorn."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path
from typing import Any

import uvicorn
from asgi_correlation_id import CorrelationIdFilter
from pydantic import ValidationError

from serving.app import create_app
from serving.settings import PREFIX, Settings
from serving.web import SAMPLE


def serve(**flags: Any) -> None:
    """Run the gateway until SIGINT or SIGTERM, then finish the requests in flight.

    Args:
        **flags: Settings by name; they override environment variables.

    Raises:
        ValueError: A setting is invalid.
        OSError: The address is in use or does not exist.
    """
    try:
        settings = Settings(**flags)
    except ValidationError as error:
        raise ValueError("; ".join(map(_describe, error.errors()))) from None
    _log_to_stderr(settings.log_level)
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(settings),
            log_config=None,
            access_log=False,  # /metrics counts requests at a fraction of the cost of a log line each
            server_header=False,
            timeout_graceful_shutdown=settings.shutdown_timeout,
        )
    )
    with _listen(settings.host, settings.port) as listener:
        _announce(settings, listener.getsockname()[1])
        server.run(sockets=[listener])


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
