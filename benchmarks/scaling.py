"""Processor time per image of each component, and memory: the inputs of docs/scaling.md.

    python -m benchmarks.scaling --model efficientnet-b0

`CPU ms` is processor time per image, which a busy machine hardly changes, unlike rates. `busy cores` is that time
multiplied by the rate: the cores that the component needs at 100 % utilisation. TensorFlow Serving is represented by
TensorFlow with the exported graph; the server adds little to that.
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
class Component:
    """Processor time of one component, in ms per image."""

    name: str
    cpu_ms: float


def main(
    model: Annotated[str, typer.Option(help="A model of the registry.")] = "efficientnet-b0",
    rate: Annotated[int, typer.Option(min=1, help="Images per second for which to compute the busy cores.")] = 10_000,
    seconds: Annotated[float, typer.Option(min=1, max=120, help="Length of each measurement.")] = 10,
    json: Annotated[Path | None, typer.Option(help="Also write the figures to this file, as JSON.")] = None,
) -> None:
    """Measure each component on its own, with one JPEG of 35 KB per request."""
    about = machine()
    with tempfile.TemporaryDirectory() as folder:
        repository = in_process(publish_by_name, model, Path(folder, "models"))
        log = Path(folder, "log")
        with running_backend(log, "--model_name", model, "--model_base_path", str(repository / model)) as backend:
            flags = ("--engine", "tf-serving", "--backend", backend.target)
            tf_serving_ms = gateway_cpu_ms(repository, log, *flags, model=model, seconds=seconds)
        components = [
            Component("gateway, engine tf-serving", tf_serving_ms),
            Component(
                "gateway, engine embedded",
                gateway_cpu_ms(repository, log, "--preload", model, model=model, seconds=seconds),
            ),
            *in_process(graph_cpu_ms, repository, model, seconds),
        ]
        memory = in_process(session_memory_mb, repository / model / "1")
        file_mb = (repository / model / "1" / artifact.SAVED_MODEL).stat().st_size / 1e6
    print(f"{model}; {about['cpu']}, {about['cores']} cores, load before: {about['load_before']}")
    show(
        f"per image, and at {rate:,} images/s",
        ("", "CPU ms", "busy cores"),
        ((each.name, f"{each.cpu_ms:.1f}", f"{rate * each.cpu_ms / 1000:.0f}") for each in components),
    )
    print(f"the graph takes {memory:,.0f} MB in a TensorFlow session; its file has {file_mb:,.0f} MB")
    figures = {"components": [asdict(each) for each in components], "memory_mb": memory, "file_mb": file_mb}
    write_json(json, {"model": model, "rate": rate, **about, **figures})


def gateway_cpu_ms(repository: Path, log: Path, *flags: str, model: str, seconds: float) -> float:
    """Return a gateway's processor time per request in ms, without that of the backends that it calls."""
    with running_gateway(repository, log, *flags) as gateway:
        path, pid = f"/classify/{model}", gateway.process.pid
        return in_process(load_gateway, gateway.port, pid, path, picture(), clients=CLIENTS, seconds=seconds).cpu_ms


def graph_cpu_ms(repository: Path, model: str, seconds: float) -> list[Component]:
    """Measure the exported graph in TensorFlow for each batch size; call it in a process of its own."""
    return list(_graph_cpu_ms(repository, model, seconds))


def _graph_cpu_ms(repository: Path, model: str, seconds: float) -> Iterator[Component]:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    version_dir = repository / model / "1"
    loaded = tf.saved_model.load(str(version_dir))  # must stay referenced: the signature does not keep it alive
    infer = loaded.signatures["serving_default"]
    preprocessing = artifact.read_card(version_dir).preprocessing
    random = np.random.default_rng(0)
    for batch in BATCHES:
        shape = (batch, *preprocessing.size, preprocessing.channels)
        images = tf.constant(random.integers(0, 256, shape, dtype=np.uint8))
        infer(images=images)
        count, cpu_before, deadline = 0, time.process_time(), time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            infer(images=images)["probabilities"].numpy()
            count += batch
        yield Component(f"TensorFlow, batches of {batch}", 1000 * (time.process_time() - cpu_before) / count)


def session_memory_mb(version_dir: Path) -> float:
    """Return the memory in MB of a TensorFlow session, as TensorFlow Serving has, after a batch of 32.

    Call it in a process of its own.
    """
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    preprocessing = artifact.read_card(version_dir).preprocessing
    process = psutil.Process()
    before = process.memory_info().rss
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(version_dir))
        signature = loaded.signature_def["serving_default"]
        images = np.zeros((max(BATCHES), *preprocessing.size, preprocessing.channels), np.uint8)
        session.run(signature.outputs["probabilities"].name, {signature.inputs["images"].name: images})
        return float(process.memory_info().rss - before) / 1e6


if __name__ == "__main__":
    typer.run(main)
