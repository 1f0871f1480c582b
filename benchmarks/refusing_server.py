"""A server that refuses every request at once: what excess load costs a machine that sends it, too."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import cast

import uvloop

_CONTENT = bytes(250)  # as long as a problem document
ANSWER = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: %d\r\n\r\n" % len(_CONTENT) + _CONTENT
START_SECONDS = 30


@contextmanager
def refusing_server() -> Iterator[int]:
    """Run the server in a process of its own, and yield its port."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(sender,), daemon=True)
    process.start()
    try:
        if not receiver.poll(START_SECONDS):
            raise SystemExit(f"the server that refuses did not start within {START_SECONDS} s")
        yield receiver.recv()
    finally:
        process.terminate()
        process.join()


def _serve(port: Connection) -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(serve())


class _Connection(asyncio.Protocol):
    """Answers when the body of a request, whose headers come in one piece, has arrived; other clients wait for ever."""

    def __init__(self) -> None:
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if not self._missing:
            head, end, _ = data.partition(b"\r\n\r\n")
            if not end:
                return
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            self._missing = len(head) + 4 + int(length)
        self._missing -= len(data)
        if not self._missing:
            self._transport.write(ANSWER)
