"""The gateway's processes: settings, logging, listening sockets, uvicorn."""

from __future__ import annotations

import gc
import logging
import os
import resource
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import ValidationError

from keras_archs.runtimes.machine import usable_cores
from serving import logs
from serving.core.priority import LoopPriority
from serving.processes import Processes
from serving.protocols.connections import ConnectionLimits
from serving.protocols.refusal_pace import RefusalPace
from serving.protocols.server import GatewayServer, create_server
from serving.settings import PREFIX, RELOADED, Settings
from serving.tls import Certificate
from serving.web import SAMPLE

RESERVED_DESCRIPTORS = 100
"""File descriptors for all but clients' connections: models, libraries, backends, the log."""
REFUSALS_PER_CORE = 250
"""Refusals a second: they take a twentieth of the processor time, 0.2 ms each."""
PARTIAL_COLLECTIONS = 100
"""Collections of young garbage before a full collection, which stops all threads for 0.04 s if 1,000 clients are
connected, and finds nothing: requests and connections over HTTP and models leave no cycles, and what gRPC's library
leaves is found while it is young."""

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
    settings = read_settings(flags)
    logs.configure(settings)
    with ExitStack() as open_sockets:
        listeners = [open_sockets.enter_context(_listen(settings.host, settings.port))]
        if settings.admin_port is not None:
            listeners.append(open_sockets.enter_context(_listen(settings.admin_host, settings.admin_port)))
            settings = settings.model_copy(update={"admin_port": _port(listeners[1])})
        if settings.processes == 1:
            _work(settings, flags, listeners)
        else:
            _announce(settings, _port(listeners[0]))
            _work_in_processes(settings, flags, listeners, stopping=open_sockets.close)


def read_settings(flags: Mapping[str, Any]) -> Settings:
    """Return the settings from flags, environment and file; ValueError, in one line, if a setting is invalid."""
    try:
        return Settings(**flags)
    except ValidationError as error:
        # a default that depends on an invalid setting is no error of its own
        invalid = [details for details in error.errors() if details["type"] != "default_factory_not_called"]
        raise ValueError("; ".join(map(_describe, invalid))) from None


def _work(settings: Settings, flags: Mapping[str, Any], listeners: list[socket.socket]) -> None:
    """Answer requests, in this process."""
    priority = LoopPriority()  # before libraries start threads, which inherit it
    from serving.app import create_app  # with prometheus_client, which looks for its shared folder when it is imported

    limits = ConnectionLimits(
        connections=max(1, min(settings.max_connections, _raise_descriptor_limit() - RESERVED_DESCRIPTORS)),
        head_seconds=settings.header_timeout,
        answer_seconds=settings.upload_timeout,
        refusal_pace=RefusalPace(REFUSALS_PER_CORE * usable_cores() / settings.processes),
    )
    app = create_app(settings)
    app.state.admission.on_refusal = priority.refused
    limits.on_refusal = app.state.metrics.requests.refuse_connection
    limits.refuse_early = app.state.refuse_early
    certificate: Certificate | None = app.state.certificate
    server = create_server(
        app,
        limits,
        shutdown_timeout=settings.shutdown_timeout,
        drain_seconds=settings.drain_seconds,
        on_drain=app.state.drain,
        on_reload=Reload(app, limits, flags).take,
        tls=certificate.context if certificate else None,
    )
    gc.collect()
    gc.freeze()  # modules are never garbage, and looking through them again and again stops all threads for 0.1 s
    gc.set_threshold(*gc.get_threshold()[:2], PARTIAL_COLLECTIONS)
    _handle_signals(server)
    if settings.processes == 1:
        _announce(settings, _port(listeners[0]))
    server.run(sockets=listeners)


def _work_in_processes(
    settings: Settings, flags: Mapping[str, Any], listeners: list[socket.socket], stopping: Callable[[], None]
) -> None:
    def work() -> None:
        # a process that takes the place of another has missed what the others have reloaded
        _work(_with_reloaded(settings, flags), flags, listeners)

    with tempfile.TemporaryDirectory(prefix="keras-archs-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # in which the processes add up their metrics

        def ended(process: int) -> None:
            from prometheus_client.multiprocess import mark_process_dead

            mark_process_dead(process, folder)  # type: ignore[no-untyped-call]

        processes = Processes(work, settings.processes, ended=ended, stopping=stopping)
        processes.run(pass_on=(signal.SIGHUP,) if _hangup_means_reload() else ())


def _raise_descriptor_limit() -> int:
    """Raise the soft limit on file descriptors to the hard limit, and return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return sys.maxsize if hard == resource.RLIM_INFINITY else hard


def _handle_signals(server: GatewayServer) -> None:
    """Set what SIGTERM and SIGHUP do; uvicorn finishes the requests in flight before it passes SIGTERM on."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if _hangup_means_reload():
        signal.signal(signal.SIGHUP, lambda *_: server.reload())


def _hangup_means_reload() -> bool:
    """Return whether SIGHUP comes from a service manager; at a terminal, it means that the terminal was closed."""
    return signal.getsignal(signal.SIGHUP) == signal.SIG_DFL and not (sys.stdin and sys.stdin.isatty())


class Reload:
    """Takes the settings that may change from the file of settings, while the gateway runs."""

    def __init__(self, app: FastAPI, limits: ConnectionLimits, flags: Mapping[str, Any]) -> None:
        """Note the settings of a running application.

        Args:
            app: The application.
            limits: Limits of its connections.
            flags: Settings that override environment and file.
        """
        self._app = app
        self._limits = limits
        self._flags = flags
        self._settings = read_settings(flags)

    async def take(self) -> None:
        """Take what has changed; if a setting is invalid, log it and take nothing."""
        try:
            new = read_settings(self._flags)
        except (ValueError, OSError) as error:
            log.error("SIGHUP: all settings stay as they were: %s", error)
            return
        changed = {name for name in Settings.model_fields if getattr(new, name) != getattr(self._settings, name)}
        taken, others = sorted(changed & RELOADED), sorted(changed - RELOADED)
        await self._app.state.reload(new)
        self._limits.head_seconds, self._limits.answer_seconds = new.header_timeout, new.upload_timeout
        logs.set_level(new.log_level)
        self._settings = _with(self._settings, new)
        log.info("SIGHUP: keys were read again; changed settings: %s", ", ".join(taken) or "none")
        if others:
            log.warning("SIGHUP: these changed settings need a restart: %s", ", ".join(others))


def _with_reloaded(settings: Settings, flags: Mapping[str, Any]) -> Settings:
    try:
        return _with(settings, read_settings(flags))
    except (ValueError, OSError):
        return settings


def _with(settings: Settings, new: Settings) -> Settings:
    return settings.model_copy(update={name: getattr(new, name) for name in RELOADED})


def _describe(error: Any) -> str:
    """Return one of Pydantic's errors with the setting, its variable, and the received value."""
    if not error["loc"]:
        return str(error["msg"]).removeprefix("Value error, ")
    name = ".".join(str(part) for part in error["loc"])
    return f"setting {name} ({PREFIX}{name.upper()}): {error['msg']}; got {error['input']!r}"


def _listen(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    try:
        # bound before models are loaded, so that a port in use is reported at once
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise OSError(f"cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}") from error


def _port(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port


def _url(settings: Settings, host: str, port: int) -> str:
    scheme = "http" if settings.tls_certificate is None else "https"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _announce(settings: Settings, port: int) -> None:
    url = _url(settings, settings.host, port)
    docs = url if settings.admin_port is None else _url(settings, settings.admin_host, settings.admin_port)
    key = '-H "X-API-Key: $KERAS_ARCHS_KEY" ' if settings.needs_credentials else ""
    model = settings.preload[0] if settings.preload else "efficientnet-lite0"
    sample = SAMPLE.relative_to(Path.cwd()) if SAMPLE.is_relative_to(Path.cwd()) else SAMPLE
    print(  # noqa: T201  the command's output
        f"\n  page  {url}/\n  docs  {docs}/docs\n"
        f"  try   curl -s {key}-H 'Content-Type: image/jpeg' --data-binary @{sample} {url}/classify/{model}\n",
        flush=True,
    )
