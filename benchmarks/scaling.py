"""Processor time per image in each part, and memory: what docs/scaling.md reckons with.

python -m benchmarks.scaling --model efficientnet-b0

A busy machine hardly changes processor time, while it does change rates. TensorFlow Serving's part is TensorFlow with
the exported graph: its server adds little to that.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import psutil
import typer

from benchmarks.closed_loop import in_process, load_gateway
from benchmarks.common import machine, picture, show, write_json
from benchmarks.gateway import publish_by_name
from keras_archs.repository import artifact
from tests.support.backend import running_backend
from tests.support.gateway import running_gateway

BATCHES = (1, 8, 32)
CLIENTS = 4


@dataclass(frozen=True)
class Part:
    """Processor time of one part, in ms per image."""

    name: str
    cpu_ms: float


def main(
    model: Annotated[str, typer.Option(help="A model of the registry.")] = "efficientnet-b0",
    rate: Annotated[int, typer.Option(min=1, help="Requests per second to reckon with.")] = 10_000,
    seconds: Annotated[float, typer.Option(min=1, max=120, help="Length of each measurement.")] = 10,
    json: Annotated[Path | None, typer.Option(help="File to write the figures to as well.")] = None,
) -> None:
    """Measures each part on its own, one JPEG of 35 KB per request."""
    about = machine()
    with tempfile.TemporaryDirectory() as folder:
        repository = in_process(publish_by_name, model, Path(folder, "models"))
        log = Path(folder, "log")
        with running_backend(log, "--model_name", model, "--model_base_path", str(repository / model)) as backend:
            flags = ("--engine", "tf-serving", "--backend", backend.target)
            through_server = gateways_cpu_ms(repository, log, *flags, model=model, seconds=seconds)
        parts = [
            Part("gateway, engine tf-serving", through_server),
            Part(
                "gateway, engine embedded",
                gateways_cpu_ms(repository, log, "--preload", model, model=model, seconds=seconds),
            ),
            *in_process(graph, repository, model, seconds),
        ]
        memory = in_process(session_mb, repository / model / "1")
        file_mb = (repository / model / "1" / artifact.SAVED_MODEL).stat().st_size / 1e6
    print(f"{model}; {about['cpu']}, {about['cores']} cores, load before: {about['load_before']}")
    show(
        f"per image, and at {rate:,} images/s",
        ("", "CPU ms", "busy cores"),
        ((part.name, f"{part.cpu_ms:.1f}", f"{rate * part.cpu_ms / 1000:.0f}") for part in parts),
    )
    print(f"in a TensorFlow session the graph takes {memory:,.0f} MB; its file has {file_mb:,.0f}")
    figures = {"parts": [asdict(part) for part in parts], "memory_mb": memory, "file_mb": file_mb}
    write_json(json, {"model": model, "rate": rate, **about, **figures})


def gateways_cpu_ms(repository: Path, log: Path, *flags: str, model: str, seconds: float) -> float:
    """Processor time of a gateway with these flags per request; whatever it asks is not part of it."""
    with running_gateway(repository, log, *flags) as gateway:
        path, pid = f"/classify/{model}", gateway.process.pid
        return in_process(load_gateway, gateway.port, pid, path, picture(), clients=CLIENTS, seconds=seconds).cpu_ms


def graph(repository: Path, model: str, seconds: float) -> list[Part]:
    """TensorFlow's time for the exported graph, by the size of batches. For a process of its own."""
    return list(_graph(repository, model, seconds))


def _graph(repository: Path, model: str, seconds: float) -> Iterator[Part]:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    version_dir = repository / model / "1"
    loaded = tf.saved_model.load(str(version_dir))  # the signatures do not keep it alive
    infer = loaded.signatures["serving_default"]
    how = artifact.read_card(version_dir).preprocessing
    random = np.random.default_rng(0)
    for batch in BATCHES:
        shape = (batch, *how.size, how.channels)
        images = tf.constant(random.integers(0, 256, shape, dtype=np.uint8))
        infer(images=images)
        count, computed, ends = 0, time.process_time(), time.perf_counter() + seconds
        while time.perf_counter() < ends:
            infer(images=images)["probabilities"].numpy()
            count += batch
        yield Part(f"TensorFlow, batches of {batch}", 1000 * (time.process_time() - computed) / count)


def session_mb(version_dir: Path) -> float:
    """What a session, as TensorFlow Serving has one, takes once it has answered. For a process of its own."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    how = artifact.read_card(version_dir).preprocessing
    process = psutil.Process()
    before = process.memory_info().rss
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(version_dir))
        signature = loaded.signature_def["serving_default"]
        images = np.zeros((max(BATCHES), *how.size, how.channels), np.uint8)
        session.run(signature.outputs["probabilities"].name, {signature.inputs["images"].name: images})
        return float(process.memory_info().rss - before) / 1e6


if __name__ == "__main__":
    typer.run(main)
