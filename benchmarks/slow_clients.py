"""Clients that hold connections open as cheaply as they can: silent, with headers or bodies that never end."""

from __future__ import annotations

import asyncio
from typing import Final

import uvloop

DRIP_SECONDS: Final = 1.0
STARTS: Final = (
    b"",
    b"POST /classify/none HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Drip: ",
    b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\nContent-Length: 40000\r\n\r\n",
)
"""What each kind of client sends at once; then it sends a byte every `DRIP_SECONDS`."""


def slow_clients(port: int, path: str, address: str, *, clients: int, seconds: float) -> int:
    """Keep slow clients connected, and return how many connections the gateway has closed.

    Args:
        port: Port of the gateway on this machine.
        path: Path of the requests.
        address: Loopback address of the clients.
        clients: Number of clients; each connects again when its connection is closed.
        seconds: Time until they leave.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_slow_clients(port, path, address, clients, seconds))


async def _slow_clients(port: int, path: str, address: str, clients: int, seconds: float) -> int:
    closed = 0

    async def client(number: int) -> None:
        nonlocal closed
        start = STARTS[number % len(STARTS)].replace(b"%s", path.encode())
        await asyncio.sleep(number / clients)  # not all at the same moment
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
                writer.write(start)
                while not reader.at_eof() and not writer.transport.is_closing():
                    await asyncio.sleep(DRIP_SECONDS)
                    if start:
                        writer.write(b"x")
                writer.transport.abort()
            except OSError:
                await asyncio.sleep(DRIP_SECONDS)
            closed += 1

    tasks = [asyncio.create_task(client(number)) for number in range(clients)]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return closed
