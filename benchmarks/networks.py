"""Time per multiply-add of one network relative to another, in training and in inference.

    python -m benchmarks.networks resnext-50-32x4d --against resnet-50 --batch 8

`ratio` is the network's time per multiply-add divided by the reference's: 1 means that only the multiply-adds count,
above 1 that the network's structure costs extra time (grouped convolutions), below 1 that it skips computation that is
counted (stochastic depth). `by processor` is the same ratio by processor time, which a busy machine hardly changes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tensorflow as tf
import typer

from benchmarks.common import machine, show, write_json
from keras_archs.registry import create_model, model_card

Task = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """Measurements of one task; the ratios are the network's time per multiply-add to the reference's."""

    task: str
    reference_ms: float
    network_ms: float
    ratio: float
    processor_ratio: float


def main(
    name: Annotated[str, typer.Argument(help="Network of the registry.")] = "resnext-50-32x4d",
    against: Annotated[str, typer.Option(help="Reference network of the registry.")] = "resnet-50",
    batch: Annotated[int, typer.Option(min=1, help="Images per batch.")] = 8,
    runs: Annotated[int, typer.Option(min=1, help="Timed runs of each network and task.")] = 10,
    json: Annotated[Path | None, typer.Option(help="Also write the figures to this file, as JSON.")] = None,
) -> None:
    """Compare training steps and inference of two networks on the TensorFlow backend."""
    about = machine()
    reference, network = (prepare(model, batch) for model in (against, name))
    macs_ratio = model_card(name).cost.macs / model_card(against).cost.macs
    rows = []
    for task in reference:
        (reference_s, reference_cpu), (network_s, network_cpu) = interleaved([reference[task], network[task]], runs)
        ratios = network_s / reference_s / macs_ratio, network_cpu / reference_cpu / macs_ratio
        rows.append(Row(task, 1000 * reference_s, 1000 * network_s, *ratios))
    print(f"{about['cpu']}, {about['cores']} cores, load before: {about['load_before']}")
    show(
        f"{name} against {against} per multiply-add, {batch} images",
        ("", f"{against} ms", f"{name} ms", "ratio", "by processor"),
        (
            (
                row.task,
                f"{row.reference_ms:.0f}",
                f"{row.network_ms:.0f}",
                f"{row.ratio:.2f}",
                f"{row.processor_ratio:.2f}",
            )
            for row in rows
        ),
    )
    figures = {"network": name, "against": against, "batch": batch, "runs": runs}
    write_json(json, {**figures, **about, "rows": [asdict(row) for row in rows]})


def prepare(name: str, batch: int) -> dict[str, Task]:
    """Return the tasks by name, on the same images; each has been traced and run once."""
    model = create_model(name)
    model.compile("sgd", "sparse_categorical_crossentropy")
    images = np.random.default_rng(0).normal(size=(batch, *model.input_shape[1:])).astype(np.float32)
    pixels, labels = tf.constant(images), tf.constant(np.arange(batch) % model.output_shape[-1])
    infer = tf.function(lambda: model(pixels, training=False))
    tasks: dict[str, Task] = {
        "training step": lambda: model.train_on_batch(pixels, labels),
        "inference": infer,
    }
    for run in tasks.values():
        run()
    return tasks


def interleaved(contenders: Sequence[Task], runs: int) -> list[tuple[float, float]]:
    """Return the median seconds of each contender, elapsed and of the processor.

    The contenders run in turns, so that a busy machine slows both.
    """
    times: list[list[tuple[float, float]]] = [[] for _ in contenders]
    for _ in range(runs):
        for run, measured in zip(contenders, times, strict=True):
            clock, processor = time.perf_counter(), time.process_time()
            run()
            measured.append((time.perf_counter() - clock, time.process_time() - processor))
    medians = (np.median(measured, axis=0) for measured in times)
    return [(float(clock), float(processor)) for clock, processor in medians]


if __name__ == "__main__":
    typer.run(main)
