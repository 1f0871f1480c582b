"""Gateway against its own engine: start-up time, memory, and the share of the engine's throughput that it reaches.

    python -m benchmarks.gateway --model efficientnet-lite0 streams=2 workers=4

`ratio` is the gateway's requests per second divided by the engine's images per second, under the same settings and with
the same number of clients. The engine gets decoded images, the gateway JPEGs over HTTP: 1 would mean that decoding,
HTTP and the client, which runs on the same cores, cost nothing. On a busy machine read the ratio by processor time.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import psutil
import typer

from benchmarks.closed_loop import in_process, load_engine, load_gateway
from benchmarks.common import build, machine, picture, publish, show, write_json
from serving.settings import Settings

COMMAND = Path(sys.executable).with_name("keras-archs")
READY_SECONDS = 120
STOP_SECONDS = 30
PHASES = ("decode", "queue", "inference")
"""Phases that the gateway reports in `Server-Timing`."""


@dataclass(frozen=True)
class Gateway:
    """A running gateway that is ready."""

    port: int
    process: psutil.Process
    seconds_to_ready: float

    def resident_mb(self) -> float:
        """Return the resident memory in MB."""
        return float(self.process.memory_info().rss / 1e6)

    def has_tensorflow(self) -> bool:
        """Return whether TensorFlow's library is loaded in the process."""
        return any("libtensorflow" in mapped.path for mapped in self.process.memory_maps())


@dataclass(frozen=True)
class Start:
    """Start-up time, with an empty and with a full conversion cache, and memory."""

    first_start_seconds: float
    second_start_seconds: float
    loaded_mb: float
    after_load_mb: float
    tensorflow: bool


@dataclass(frozen=True)
class Row:
    """Throughput with one number of clients: rates per second, times in ms; medians over the rounds."""

    clients: int
    engine_rate: float
    gateway_rate: float
    ratio: float
    engine_cpu_ms: float
    gateway_cpu_ms: float
    p50: float
    p90: float
    p99: float
    decode: float
    queue: float
    inference: float
    rest: float


def main(
    assignments: Annotated[
        list[str] | None, typer.Argument(metavar="[SETTING=VALUE]...", help="Settings of the gateway.")
    ] = None,
    model: Annotated[str, typer.Option(help="A model of the registry.")] = "efficientnet-lite0",
    repository: Annotated[Path | None, typer.Option(help="Repository in which the model is published already.")] = None,
    clients: Annotated[str, typer.Option(help="Numbers of concurrent clients, comma-separated.")] = "1,4,8",
    seconds: Annotated[float, typer.Option(min=1, max=120, help="Length of a round.")] = 5,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds per number of clients.")] = 3,
    json: Annotated[Path | None, typer.Option(help="Also write the figures to this file, as JSON.")] = None,
) -> None:
    """Compare the gateway with its own engine, under the same settings."""
    about = machine()
    with tempfile.TemporaryDirectory() as folder:
        values: dict[str, Any] = {
            "repository": str(repository or in_process(publish_by_name, model, Path(folder, "models"))),
            "cache_dir": str(Path(folder, "cache")),  # empty, so that the first start includes the conversion
            "preload": model,
            "port": "0",
            "log_level": "warning",
            **read_assignments(assignments or []),
        }
        settings = Settings(**values)
        print(
            f"{model}, {settings.runtime} {settings.precision}, {settings.streams} streams, "
            f"{settings.workers} workers; {about['cpu']}, {about['cores']} cores, load before: {about['load_before']}"
        )
        with running(values) as gateway:
            first_start_seconds = gateway.seconds_to_ready
        with running(values) as gateway:
            loaded_mb = gateway.resident_mb()
            rows = [throughput(gateway, settings, int(count), seconds, rounds) for count in clients.split(",")]
            start = Start(
                first_start_seconds=first_start_seconds,
                second_start_seconds=gateway.seconds_to_ready,
                loaded_mb=loaded_mb,
                after_load_mb=gateway.resident_mb(),
                tensorflow=gateway.has_tensorflow(),
            )
    print(
        f"ready after {start.first_start_seconds:.1f} s the first time, {start.second_start_seconds:.1f} s the second; "
        f"{start.loaded_mb:.0f} MB resident, {start.after_load_mb:.0f} MB after the load; "
        f"libtensorflow is {'' if start.tensorflow else 'not '}in the process"
    )
    show_rows(rows)
    figures = {"model": model, "settings": assignments, "seconds": seconds, "rounds": rounds, **about}
    write_json(json, figures | {"start": asdict(start), "rows": [asdict(row) for row in rows]})
    shown = next((row for row in rows if row.clients == 4), rows[-1])
    by_cpu = shown.engine_cpu_ms / shown.gateway_cpu_ms  # unlike rates, hardly affected by a busy machine
    print(
        f"the gateway reaches {shown.ratio:.2f} of the engine's own rate with {shown.clients} clients "
        f"({by_cpu:.2f} by processor time)"
    )


def read_assignments(assignments: list[str]) -> dict[str, str]:
    """Return settings by name, from arguments like `streams=2`."""
    pairs = [assignment.partition("=") for assignment in assignments]
    return {name: value for name, _, value in pairs}


def publish_by_name(name: str, repository: Path) -> Path:
    """Publish a model of the registry and return the repository; call it in a process of its own."""
    publish(build(name), repository, name)
    return repository


@contextmanager
def running(settings: dict[str, str]) -> Iterator[Gateway]:
    """Start a gateway by the command that users run, wait until it is ready, and stop it at the end."""
    started = time.monotonic()
    # environment variables, because not every setting is a flag
    environment = os.environ | {f"KERAS_ARCHS_{name.upper()}": value for name, value in settings.items()}
    with subprocess.Popen([COMMAND, "serve"], env=environment, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            address = next(
                filter(None, (re.search(r"http://127\.0\.0\.1:(\d+)/", line) for line in child.stdout)), None
            )
            if address is None:
                raise SystemExit("the gateway did not start; its output is above")
            wait_until_ready(f"{address[0]}readyz")
            yield Gateway(int(address[1]), psutil.Process(child.pid), time.monotonic() - started)
        finally:
            child.terminate()
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()


def wait_until_ready(url: str) -> None:
    """Wait until the gateway has loaded its models; before, it listens but answers 503."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=READY_SECONDS):
                return
        except urllib.error.HTTPError as error:
            if time.monotonic() > deadline:
                raise SystemExit(f"the gateway is not ready after {READY_SECONDS} s: {error.read().decode()}") from None
        time.sleep(0.05)


def throughput(gateway: Gateway, settings: Settings, clients: int, seconds: float, rounds: int) -> Row:
    """Measure engine and gateway in turns, so that a busy machine slows both; the ratio is taken within each round."""
    image, pairs = picture(), []
    for _ in range(rounds):
        engine = in_process(load_engine, settings, image, clients=clients, seconds=seconds)
        served = in_process(
            load_gateway,
            gateway.port,
            gateway.process.pid,
            f"/classify/{settings.preload[0]}",
            image,
            clients=clients,
            seconds=seconds,
        )
        pairs.append((engine, served))
    latencies = [1000 * latency for _, served in pairs for latency in served.latencies]
    timings = [timing for _, served in pairs for timing in served.timings]
    p50, p90, p99 = np.percentile(latencies, [50, 90, 99]).tolist()
    phases = np.array([[timing[phase] for phase in PHASES] for timing in timings])
    decode, queue, inference = np.median(phases, axis=0).tolist()
    return Row(
        clients=clients,
        engine_rate=median(engine.rate for engine, _ in pairs),
        gateway_rate=median(served.rate for _, served in pairs),
        ratio=median(served.rate / engine.rate for engine, served in pairs),
        engine_cpu_ms=median(engine.cpu_ms for engine, _ in pairs),
        gateway_cpu_ms=median(served.cpu_ms for _, served in pairs),
        p50=p50,
        p90=p90,
        p99=p99,
        decode=decode,
        queue=queue,
        inference=inference,
        rest=float(np.median(latencies - phases.sum(axis=1))),
    )


def show_rows(rows: list[Row]) -> None:
    """Print the rows as two tables: throughput and latency."""
    show(
        "requests: one JPEG, top 5 back",
        ("clients", "engine /s", "gateway /s", "ratio", "engine CPU ms", "gateway CPU ms"),
        (
            (
                str(row.clients),
                f"{row.engine_rate:.0f}",
                f"{row.gateway_rate:.0f}",
                f"{row.ratio:.2f}",
                f"{row.engine_cpu_ms:.1f}",
                f"{row.gateway_cpu_ms:.1f}",
            )
            for row in rows
        ),
    )
    show(
        "time of a request in the gateway, ms",
        ("clients", "p50", "p90", "p99", *PHASES, "rest"),
        (
            (
                str(row.clients),
                *(f"{ms:.1f}" for ms in (row.p50, row.p90, row.p99, row.decode, row.queue, row.inference, row.rest)),
            )
            for row in rows
        ),
    )


if __name__ == "__main__":
    typer.run(main)
