"""The whole gateway: how soon it is ready, what memory it takes, and how much of the engine's rate it passes on.

python -m benchmarks.gateway --model efficientnet-lite0 streams=2 workers=4
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
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
PHASES = ("decode", "queue", "inference")  # of Server-Timing


@dataclass(frozen=True)
class Gateway:
    """A running gateway, ready."""

    port: int
    process: psutil.Process
    seconds_to_ready: float

    def resident_mb(self) -> float:
        """Resident memory, in MB."""
        return float(self.process.memory_info().rss / 1e6)

    def has_tensorflow(self) -> bool:
        """Whether TensorFlow's library is in the process."""
        return any("libtensorflow" in mapped.path for mapped in self.process.memory_maps())


@dataclass(frozen=True)
class Start:
    """What was measured besides throughput."""

    converting_seconds: float
    again_seconds: float
    loaded_mb: float
    after_load_mb: float
    tensorflow: bool


@dataclass(frozen=True)
class Row:
    """Throughput with one number of clients: rates per second, times in ms, medians over the rounds."""

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
    repository: Annotated[Path | None, typer.Option(help="Where it is published already.")] = None,
    clients: Annotated[str, typer.Option(help="How many at once, comma-separated.")] = "1,4,8",
    seconds: Annotated[float, typer.Option(min=1, max=120, help="Length of a round.")] = 5,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds per number of clients.")] = 3,
    json: Annotated[Path | None, typer.Option(help="File to write the figures to as well.")] = None,
) -> None:
    """Measures the gateway against its own engine, under the same settings."""
    about = machine()
    with tempfile.TemporaryDirectory() as folder:
        values: dict[str, Any] = {
            "repository": str(repository or in_process(publish_by_name, model, Path(folder, "models"))),
            "cache_dir": str(Path(folder, "cache")),  # empty, so that the first start has to convert
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
            converting_seconds = gateway.seconds_to_ready
        with running(values) as gateway:
            loaded_mb = gateway.resident_mb()
            rows = [throughput(gateway, settings, int(count), seconds, rounds) for count in clients.split(",")]
            start = Start(
                converting_seconds=converting_seconds,
                again_seconds=gateway.seconds_to_ready,
                loaded_mb=loaded_mb,
                after_load_mb=gateway.resident_mb(),
                tensorflow=gateway.has_tensorflow(),
            )
    print(
        f"ready after {start.converting_seconds:.1f} s the first time, {start.again_seconds:.1f} s the second; "
        f"{start.loaded_mb:.0f} MB resident, {start.after_load_mb:.0f} MB after the load; "
        f"libtensorflow is {'' if start.tensorflow else 'not '}in the process"
    )
    show_rows(rows)
    figures = {"model": model, "settings": assignments, "seconds": seconds, "rounds": rounds, **about}
    write_json(json, figures | {"start": asdict(start), "rows": [asdict(row) for row in rows]})
    shown = next((row for row in rows if row.clients == 4), rows[-1])
    by_cpu = shown.engine_cpu_ms / shown.gateway_cpu_ms  # holds on a busy machine too, where rates do not
    print(
        f"the gateway reaches {shown.ratio:.2f} of the engine's own rate with {shown.clients} clients "
        f"({by_cpu:.2f} by processor time)"
    )


def read_assignments(assignments: list[str]) -> dict[str, str]:
    """`streams=2` and the like as a dictionary."""
    pairs = [assignment.partition("=") for assignment in assignments]
    return {name: value for name, _, value in pairs}


def publish_by_name(name: str, repository: Path) -> Path:
    """Publishes a model of the registry into `repository`, which is returned. For a process of its own."""
    publish(build(name), repository, name)
    return repository


@contextmanager
def running(settings: dict[str, str]) -> Iterator[Gateway]:
    """Starts a gateway by the command that users run, waits until it is ready, and stops it in the end."""
    started = time.monotonic()
    # not every setting is a flag, but every one is an environment variable
    environment = os.environ | {f"KERAS_ARCHS_{name.upper()}": value for name, value in settings.items()}
    with subprocess.Popen([COMMAND, "serve"], env=environment, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            found = next(filter(None, (re.search(r"http://127\.0\.0\.1:(\d+)/", line) for line in child.stdout)), None)
            if found is None:
                raise SystemExit("the gateway did not start; what it said is above")
            # it listens before it loads, so this waits until the model is there
            with urllib.request.urlopen(f"{found[0]}readyz", timeout=READY_SECONDS):
                yield Gateway(int(found[1]), psutil.Process(child.pid), time.monotonic() - started)
        finally:
            child.terminate()
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()


def throughput(gateway: Gateway, settings: Settings, clients: int, seconds: float, rounds: int) -> Row:
    """Engine and gateway by turns, so that a busy machine slows both; the ratio is within each round."""
    image, pairs = picture(), []
    for _ in range(rounds):
        engine = in_process(load_engine, settings, image, clients=clients, seconds=seconds)
        whole = in_process(
            load_gateway,
            gateway.port,
            gateway.process.pid,
            f"/classify/{settings.preload[0]}",
            image,
            clients=clients,
            seconds=seconds,
        )
        pairs.append((engine, whole))
    latencies = [1000 * latency for _, whole in pairs for latency in whole.latencies]
    timings = [timing for _, whole in pairs for timing in whole.timings]
    p50, p90, p99 = np.percentile(latencies, [50, 90, 99]).tolist()
    spent = np.array([[timing[phase] for phase in PHASES] for timing in timings])
    decode, queue, inference = np.median(spent, axis=0).tolist()
    return Row(
        clients=clients,
        engine_rate=median(engine.rate for engine, _ in pairs),
        gateway_rate=median(whole.rate for _, whole in pairs),
        ratio=median(whole.rate / engine.rate for engine, whole in pairs),
        engine_cpu_ms=median(engine.cpu_ms for engine, _ in pairs),
        gateway_cpu_ms=median(whole.cpu_ms for _, whole in pairs),
        p50=p50,
        p90=p90,
        p99=p99,
        decode=decode,
        queue=queue,
        inference=inference,
        rest=float(np.median(latencies - spent.sum(axis=1))),
    )


def show_rows(rows: list[Row]) -> None:
    """The rows for people."""
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
