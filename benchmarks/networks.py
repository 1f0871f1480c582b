"""One network against another per multiply-add: what its form costs, or saves, beyond its arithmetic.

python -m benchmarks.networks resnext-50-32x4d --against resnet-50 --batch 8
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

Work = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """What was measured of one kind of work. A ratio is the network's time per multiply-add to the other's."""

    work: str
    other_ms: float
    own_ms: float
    ratio: float
    processor_ratio: float


def main(
    name: Annotated[str, typer.Argument(help="Network of the registry.")] = "resnext-50-32x4d",
    against: Annotated[str, typer.Option(help="Network to compare it with.")] = "resnet-50",
    batch: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 8,
    runs: Annotated[int, typer.Option(min=1, help="Timed runs of each network and kind of work.")] = 10,
    json: Annotated[Path | None, typer.Option(help="File to write the figures to as well.")] = None,
) -> None:
    """Compares training steps and inference of both networks, on the TensorFlow backend."""
    about = machine()
    other, own = (prepare(network, batch) for network in (against, name))
    macs = model_card(name).cost.macs / model_card(against).cost.macs
    rows = []
    for work in other:
        (other_s, other_cpu), (own_s, own_cpu) = interleaved([other[work], own[work]], runs)
        ratios = own_s / other_s / macs, own_cpu / other_cpu / macs
        rows.append(Row(work, 1000 * other_s, 1000 * own_s, *ratios))
    print(f"{about['cpu']}, {about['cores']} cores, load before: {about['load_before']}")
    show(
        f"{name} against {against} per multiply-add, {batch} images",
        ("", "other ms", "own ms", "ratio", "by processor"),
        (
            (row.work, f"{row.other_ms:.0f}", f"{row.own_ms:.0f}", f"{row.ratio:.2f}", f"{row.processor_ratio:.2f}")
            for row in rows
        ),
    )
    figures = {"network": name, "against": against, "batch": batch, "runs": runs}
    write_json(json, {**figures, **about, "rows": [asdict(row) for row in rows]})


def prepare(name: str, batch: int) -> dict[str, Work]:
    """Every kind of work by name, on the same images, traced and run once."""
    model = create_model(name)
    model.compile("sgd", "sparse_categorical_crossentropy")
    images = np.random.default_rng(0).normal(size=(batch, *model.input_shape[1:])).astype(np.float32)
    pixels, labels = tf.constant(images), tf.constant(np.arange(batch) % model.output_shape[-1])
    infer = tf.function(lambda: model(pixels, training=False))
    work: dict[str, Work] = {
        "training step": lambda: model.train_on_batch(pixels, labels),
        "inference": infer,
    }
    for run in work.values():
        run()
    return work


def interleaved(contenders: Sequence[Work], runs: int) -> list[tuple[float, float]]:
    """Median seconds of each, by the clock and by the processor; they take turns, so that a busy machine slows both."""
    times: list[list[tuple[float, float]]] = [[] for _ in contenders]
    for _ in range(runs):
        for work, measured in zip(contenders, times, strict=True):
            clock, processor = time.perf_counter(), time.process_time()
            work()
            measured.append((time.perf_counter() - clock, time.process_time() - processor))
    medians = (np.median(measured, axis=0) for measured in times)
    return [(float(clock), float(processor)) for clock, processor in medians]


if __name__ == "__main__":
    typer.run(main)
