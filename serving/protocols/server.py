"""uvicorn's server with limited connections, which drains before it stops, and takes new settings while it runs."""

from __future__ import annotations

import asyncio
import functools
import logging
import math
import multiprocessing
import os
import signal
import ssl
import time
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

from serving.protocols.connections import ConnectionLimits, LimitedConnection

log = logging.getLogger(__name__)

TICKS_PER_SECOND: Final = 10
"""Calls of `on_tick` per second, by uvicorn."""
CHECKED_AT_ONCE: Final = 10
"""Connections that are checked between two pauses, at least."""
PARTS: Final = 10
"""Parts of the checks of a tick; between them, threads that compute get the processor."""
PAUSE_SECONDS: Final = 0.005


class GatewayServer(uvicorn.Server):
    """A server that answers for some time after SIGTERM, so that load balancers notice that it stops."""

    def __init__(
        self,
        config: uvicorn.Config,
        limits: ConnectionLimits,
        *,
        drain_seconds: float,
        on_drain: Callable[[], None],
        on_reload: Callable[[], Awaitable[None]] | None,
    ) -> None:
        """Prepare the server; see `create_server`."""
        super().__init__(config)
        self._limits = limits
        self._drain_seconds = drain_seconds
        self._on_drain = on_drain
        self._on_reload = on_reload
        self._stops_at: float | None = None
        self._must_reload = False
        self._unchecked: list[Any] = []  # connections
        self._part = 0  # of them, in each tick

    def reload(self) -> None:
        """Take new settings soon; a signal handler may call this method."""
        self._must_reload = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain at the first SIGTERM; stop at the next signal, or at SIGINT."""
        drains = sig == signal.SIGTERM and self._stops_at is None and not self.should_exit
        self._drain()
        if drains and self._drain_seconds > 0:
            self._captured_signals.append(sig)
            self._stops_at = time.monotonic() + self._drain_seconds
        else:
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Do what a signal has asked for, and check each connection about once a second."""
        if self._must_reload and self._on_reload is not None:
            self._must_reload = False
            try:
                await self._on_reload()
            except Exception:  # the server must survive any error in what it reads
                log.exception("the new settings cannot be taken")
        await self._check_connections()
        if counter % TICKS_PER_SECOND == 0:
            parent = multiprocessing.parent_process()
            if parent is not None and parent.pid != os.getppid():  # it was killed, and nobody would end this process
                self._drain()
                self.should_exit = True
        if self._stops_at is not None and time.monotonic() >= self._stops_at:
            self.should_exit = True
        return await super().on_tick(counter)

    async def _check_connections(self) -> None:
        """Check a part of the connections: thousands may exceed a limit at the same moment."""
        if not self._unchecked:
            self._unchecked = list(self.server_state.connections)
            self._part = math.ceil(len(self._unchecked) / TICKS_PER_SECOND)
        part, self._unchecked = self._unchecked[: self._part], self._unchecked[self._part :]
        size = max(CHECKED_AT_ONCE, math.ceil(len(part) / PARTS))
        for begin in range(0, len(part), size):
            if begin:
                await asyncio.sleep(PAUSE_SECONDS)
            for connection in part[begin : begin + size]:
                connection.check()

    def _drain(self) -> None:
        self._limits.is_draining = True
        self._on_drain()


def create_server(
    app: ASGIApp,
    limits: ConnectionLimits,
    *,
    shutdown_timeout: int,
    drain_seconds: float = 0.0,
    on_drain: Callable[[], None] = lambda: None,
    on_reload: Callable[[], Awaitable[None]] | None = None,
    tls: ssl.SSLContext | None = None,
) -> GatewayServer:
    """Create a server whose connections are limited.

    Args:
        app: Application to serve.
        limits: Limits on connections; they may change at any time.
        shutdown_timeout: Seconds for requests in flight to finish at shutdown.
        drain_seconds: Seconds after SIGTERM in which requests are accepted as before, but close their connections.
        on_drain: Called when the server begins to drain or, without draining, to stop.
        on_reload: Called on the event loop after `reload`; None to do nothing.
        tls: Context of the connections; None for connections in clear.
    """
    config = uvicorn.Config(
        app,
        http=functools.partial(LimitedConnection, limits=limits),  # type: ignore[arg-type]  # called, never derived
        ws="none",
        log_config=None,
        proxy_headers=False,  # believed from trusted proxies only, which the application knows
        ssl_context_factory=(lambda *_: tls) if tls else None,
        access_log=False,  # the gateway's own says more, and is off by default
        server_header=False,
        timeout_graceful_shutdown=shutdown_timeout,
    )
    return GatewayServer(config, limits, drain_seconds=drain_seconds, on_drain=on_drain, on_reload=on_reload)
