"""Closed-loop load: a fixed number of clients, each sending its next request when it has received its response.

Run each load in a process of its own (`in_process`), so that it does not share the interpreter lock with the program
that it measures.
"""

from __future__ import annotations

import multiprocessing
import re
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import numpy as np
import psutil

from keras_archs.images.decoding import load_image
from keras_archs.repository import artifact
from serving.app import create_runtime
from serving.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")

WARM_UP_SECONDS = 0.5
TIMEOUT_SECONDS = 300

Timing = dict[str, float]
Call = Callable[[], Timing]


@dataclass(frozen=True)
class Load:
    """Measurements of one load.

    Attributes:
        seconds: Length of the measurement.
        latencies: Latency of each request in seconds, as seen by the client.
        timings: Phases of each request in ms, from `Server-Timing`; empty for the engine alone.
        cpu_seconds: Processor time of the server's process during the measurement.
    """

    seconds: float
    latencies: list[float]
    timings: list[Timing]
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return len(self.latencies) / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Processor time per request in ms."""
        return 1000 * self.cpu_seconds / len(self.latencies)


def in_process(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a module-level function in a new process, which is killed after `TIMEOUT_SECONDS`."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply_async(function, args, kwargs).get(TIMEOUT_SECONDS)


def load_gateway(port: int, pid: int, path: str, image: bytes, *, clients: int, seconds: float) -> Load:
    """Send JPEGs to the gateway, each client over a persistent connection of its own."""
    request = http_request(path, image)
    gateway = psutil.Process(pid)

    def connect() -> Call:
        connection = socket.create_connection(("127.0.0.1", port), timeout=60)
        return lambda: exchange(connection, request)

    def cpu_seconds() -> float:
        times = gateway.cpu_times()
        return float(times.user + times.system)

    return closed_loop([connect() for _ in range(clients)], seconds, cpu_seconds)


def load_engine(settings: Settings, image: bytes, *, clients: int, seconds: float) -> Load:
    """Run the engine on the decoded image, a thread per client: without HTTP and JPEG, the gateway's upper bound."""
    model_dir = settings.repository / settings.preload[0]
    version_dir = model_dir / str(max(artifact.published_versions(model_dir)))
    card = artifact.read_card(version_dir)
    pixels = load_image(image, card.preprocessing)[np.newaxis]
    session = create_runtime(settings).load(version_dir, card)

    def call() -> Timing:
        session.infer(pixels)
        return {}

    return closed_loop([call] * clients, seconds, time.process_time)


def closed_loop(calls: Sequence[Call], seconds: float, cpu_seconds: Callable[[], float]) -> Load:
    """Repeat each call on a thread of its own, and measure after a warm-up of `WARM_UP_SECONDS`."""
    latencies: list[float] = []
    timings: list[Timing] = []
    start = time.perf_counter() + WARM_UP_SECONDS

    def client(call: Call) -> None:
        while (sent := time.perf_counter()) < start + seconds:
            timing = call()
            if sent >= start:
                latencies.append(time.perf_counter() - sent)
                timings.append(timing)

    with ThreadPoolExecutor(len(calls)) as threads:
        futures = [threads.submit(client, call) for call in calls]
        time.sleep(WARM_UP_SECONDS)
        cpu_before = cpu_seconds()
    for future in futures:
        future.result()
    return Load(seconds, latencies, timings, cpu_seconds() - cpu_before)


def http_request(path: str, body: bytes, media_type: str = "image/jpeg") -> bytes:
    """Return the bytes of an HTTP request that posts a body."""
    fields = f"Host: 127.0.0.1\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}"
    return f"POST {path} HTTP/1.1\r\n{fields}\r\n\r\n".encode() + body


def exchange(connection: socket.socket, request: bytes) -> Timing:
    """Send a request and return the response's `Server-Timing`, phase by phase in ms.

    Written on the socket, because an HTTP library would take processor time from the gateway on the same machine.
    """
    connection.sendall(request)
    received = b""
    while b"\r\n\r\n" not in received:
        received += _receive(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    if not head.startswith(b"HTTP/1.1 200 ") or length is None:
        raise RuntimeError(f"the gateway responded with an error: {received.decode(errors='replace')}")
    remaining = int(length[1]) - len(body)
    while remaining > 0:
        remaining -= len(_receive(connection))
    return {name.decode(): float(ms) for name, ms in re.findall(rb"(\w+);dur=([\d.]+)", head)}


def _receive(connection: socket.socket) -> bytes:
    received = connection.recv(65536)
    if not received:
        raise RuntimeError("the gateway closed the connection")
    return received
