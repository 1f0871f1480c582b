"""Load from a fixed number of clients, each of which sends its next request when it has its answer.

Each run has a process to itself, so that it shares no interpreter lock with what it measures.
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

from keras_archs.images.preprocessing import load_image
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
    """What the clients saw.

    Attributes:
        seconds: How long was measured.
        latencies: Seconds per request.
        timings: What the server said of each request's time, in ms; empty for the engine alone.
        cpu_seconds: What the server's process has computed meanwhile.
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
        """Processor time per request."""
        return 1000 * self.cpu_seconds / len(self.latencies)


def in_process(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Calls a module's function in a fresh process, which is killed if it takes too long."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply_async(function, args, kwargs).get(TIMEOUT_SECONDS)


def load_gateway(port: int, pid: int, path: str, image: bytes, *, clients: int, seconds: float) -> Load:
    """JPEGs to the gateway, each client over a connection that it keeps."""
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
    """The decoded image to the engine on a thread per client: with no HTTP and no JPEGs, the gateway's bound."""
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
    """Repeats each call on a thread of its own. The first half second is not counted."""
    latencies: list[float] = []
    timings: list[Timing] = []
    begin = time.perf_counter() + WARM_UP_SECONDS

    def client(call: Call) -> None:
        while (sent := time.perf_counter()) < begin + seconds:
            timing = call()
            if sent >= begin:
                latencies.append(time.perf_counter() - sent)
                timings.append(timing)

    with ThreadPoolExecutor(len(calls)) as threads:
        running = [threads.submit(client, call) for call in calls]
        time.sleep(WARM_UP_SECONDS)
        cpu_before = cpu_seconds()
    for future in running:
        future.result()
    return Load(seconds, latencies, timings, cpu_seconds() - cpu_before)


def http_request(path: str, image: bytes) -> bytes:
    """A JPEG on its way to the gateway, byte by byte."""
    fields = f"Host: 127.0.0.1\r\nContent-Type: image/jpeg\r\nContent-Length: {len(image)}"
    return f"POST {path} HTTP/1.1\r\n{fields}\r\n\r\n".encode() + image


def exchange(connection: socket.socket, request: bytes) -> Timing:
    """One request and its answer's Server-Timing. An HTTP library would take more of the cores from the gateway."""
    connection.sendall(request)
    received = b""
    while b"\r\n\r\n" not in received:
        received += _more(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    if not head.startswith(b"HTTP/1.1 200 ") or length is None:
        raise RuntimeError(f"the gateway answered: {received.decode(errors='replace')}")
    remaining = int(length[1]) - len(body)
    while remaining > 0:
        remaining -= len(_more(connection))
    return {name.decode(): float(ms) for name, ms in re.findall(rb"(\w+);dur=([\d.]+)", head)}


def _more(connection: socket.socket) -> bytes:
    received = connection.recv(65536)
    if not received:
        raise RuntimeError("the gateway closed the connection")
    return received
