"""`keras-archs predict` against what its engine and its decoder allow, and against the gateway.

    python -m benchmarks.batch --model efficientnet-lite0 --rounds 3

Each round measures, in turn: the engine alone (decoded images), decoding alone, the command, and the gateway
with 8 clients that send the same photographs. Engine and decoding both use all cores, so that an image takes at least
the sum of both times: `bound` is 1 / (1 / engine + 1 / decoding).
"""

from __future__ import annotations

import json as jsonlib
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import psutil
import typer

from benchmarks.batch_trial import COMMAND, make
from benchmarks.closed_loop import Load, closed_loop, exchange, http_request, in_process
from benchmarks.common import machine, show, write_json
from benchmarks.gateway import publish_by_name, running
from keras_archs.images.decoding import load_image
from keras_archs.repository.artifact import CONVERSION_CACHE, find_version, read_card
from keras_archs.runtimes.local import installed_runtime, load_version
from keras_archs.runtimes.machine import usable_cores
from keras_archs.runtimes.runtime import Precision

CLIENTS = 8
GOAL_OF_BOUND = 0.9
GOAL_OF_GATEWAY = 1.3
DISTINCT = 200
"""Photographs that differ; the folder has them several times."""


@dataclass(frozen=True)
class Round:
    """Images per second."""

    engine: float
    decoding: float
    predict: float
    gateway: float

    @property
    def bound(self) -> float:
        """What engine and decoding allow together, if both use all cores."""
        return 1 / (1 / self.engine + 1 / self.decoding)


def main(
    model: Annotated[str, typer.Option(help="A model of the registry.")] = "efficientnet-lite0",
    repository: Annotated[Path | None, typer.Option(help="Repository in which the model is published already.")] = None,
    precision: Annotated[Precision, typer.Option(help="Arithmetic of all: f32, bf16 or auto.")] = "f32",
    images: Annotated[int, typer.Option(min=DISTINCT, help="Images of a run of the command.")] = 1200,
    seconds: Annotated[float, typer.Option(min=1, help="Length of the other measurements.")] = 5,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the table has their medians.")] = 3,
    json: Annotated[Path | None, typer.Option(help="Also write the figures to this file, as JSON.")] = None,
) -> None:
    """Compare the command with its engine, its decoder and the gateway."""
    about = machine()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        models = repository or in_process(publish_by_name, model, folder / "models")
        photos = photographs(folder, images)
        settings = {
            "repository": str(models),
            "preload": model,
            "port": "0",
            "log_level": "error",
            "precision": precision,
        }
        predicted(models, model, precision, photos[:1], folder)  # converts the model
        measured = []
        for _ in range(rounds):
            engine = in_process(engine_alone, models, model, precision, photos[0], seconds)
            decoding = in_process(decoding_alone, models, model, photos[:DISTINCT], seconds)
            predict = predicted(models, model, precision, photos, folder)
            with running(settings) as gateway:
                served = in_process(
                    load_photographs,
                    gateway.port,
                    gateway.process.pid,
                    f"/classify/{model}",
                    photos[:DISTINCT],
                    seconds,
                )
            measured.append(Round(engine, decoding, predict, served.rate))
    print(f"{model}, {precision}; {about['cpu']}, {about['cores']} cores, load before: {about['load_before']}")
    columns: dict[str, Callable[[Round], float]] = {
        "engine": lambda one: one.engine,
        "decoding": lambda one: one.decoding,
        "bound": lambda one: one.bound,
        "predict": lambda one: one.predict,
        "gateway": lambda one: one.gateway,
    }
    ratios: dict[str, Callable[[Round], float]] = {
        "/ bound": lambda one: one.predict / one.bound,
        "/ gateway": lambda one: one.predict / one.gateway,
    }
    rows = [(f"round {number}", one) for number, one in enumerate(measured, 1)]
    cells = [
        (
            name,
            *(f"{value(one):.0f}" for value in columns.values()),
            *(f"{value(one):.2f}" for value in ratios.values()),
        )
        for name, one in rows
    ]
    medians = (
        "median",
        *(f"{median(map(value, measured)):.0f}" for value in columns.values()),
        *(f"{median(map(value, measured)):.2f}" for value in ratios.values()),
    )
    show(
        f"images/s, {images:,} photographs of 450x300 pixels; gateway with {CLIENTS} clients",
        ("", *columns, *ratios),
        [*cells, medians],
    )
    of_bound, of_gateway = (median(map(value, measured)) for value in ratios.values())
    print(
        f"of the bound: {of_bound:.2f}, goal {GOAL_OF_BOUND}; of the gateway: {of_gateway:.2f}, goal {GOAL_OF_GATEWAY}"
    )
    figures: dict[str, Any] = {"model": model, "images": images, "rounds": [asdict(one) for one in measured]}
    write_json(json, about | figures)


def photographs(folder: Path, images: int) -> list[Path]:
    """Write photographs, of which `DISTINCT` differ, and return their paths in the order of their names."""
    make(folder / "distinct", DISTINCT, corrupt=0)
    contents = [path.read_bytes() for path in sorted((folder / "distinct").rglob("*.*"))]
    photos = folder / "photos"
    photos.mkdir()
    for number in range(images):
        (photos / f"{number:06}.jpg").write_bytes(contents[number % DISTINCT])
    return sorted(photos.iterdir())


def predicted(models: Path, model: str, precision: str, photos: list[Path], folder: Path) -> float:
    """Run the command and return its images per second, from the first image to the last row."""
    (folder / "list.txt").write_text("\n".join(map(str, photos)), encoding="utf-8")
    places = ["--repository", str(models), "--out", str(folder / "results.parquet")]
    options = ["--model", model, "--precision", precision, "--overwrite", "--json"]
    start = [str(COMMAND), "predict", str(folder / "list.txt"), *places, *options]
    output = subprocess.run(start, check=True, stdout=subprocess.PIPE, text=True).stdout
    document = jsonlib.loads(output)
    return float(document["computed"] / document["seconds"])


def engine_alone(models: Path, model: str, precision: Precision, photo: Path, seconds: float) -> float:
    """Return how many decoded images the engine computes in a second, with the command's settings."""
    version_dir = find_version(models, model)
    card = read_card(version_dir)
    runtime = installed_runtime(
        cache_dir=models / CONVERSION_CACHE, streams=usable_cores(), threads=usable_cores(), precision=precision
    )
    session = load_version(runtime, version_dir, card)
    pixels = load_image(photo, card.preprocessing)[np.newaxis]
    return rate(lambda: session.infer(pixels), seconds)


def decoding_alone(models: Path, model: str, photos: list[Path], seconds: float) -> float:
    """Return how many photographs are read and decoded in a second."""
    preprocessing = read_card(find_version(models, model)).preprocessing
    remaining = cycle(photos)
    return rate(lambda: load_image(next(remaining), preprocessing), seconds)


def rate(call: Callable[[], object], seconds: float) -> float:
    """Return how often two threads per core, as the command has, make a call in a second."""
    call()
    began = time.perf_counter()

    def work() -> int:
        count = 0
        while time.perf_counter() < began + seconds:
            call()
            count += 1
        return count

    threads = 2 * usable_cores()
    with ThreadPoolExecutor(threads) as executor:
        counts = [executor.submit(work) for _ in range(threads)]
    return sum(count.result() for count in counts) / (time.perf_counter() - began)


def load_photographs(port: int, pid: int, path: str, photos: list[Path], seconds: float) -> Load:
    """Send the photographs to the gateway in turns, each client over a persistent connection of its own."""
    requests = cycle([http_request(path, photo.read_bytes()) for photo in photos])
    gateway = psutil.Process(pid)

    def connect() -> Callable[[], dict[str, float]]:
        connection = socket.create_connection(("127.0.0.1", port), timeout=60)
        return lambda: exchange(connection, next(requests))

    def cpu_seconds() -> float:
        times = gateway.cpu_times()
        return float(times.user + times.system)

    return closed_loop([connect() for _ in range(CLIENTS)], seconds, cpu_seconds)


if __name__ == "__main__":
    typer.run(main)
