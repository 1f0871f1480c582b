"""ResNeXt-50 against ResNet-50 per multiply-add: what grouped convolution costs beyond its arithmetic.

python -m benchmarks.grouped_convolution --batch 8
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import keras
import numpy as np
import tensorflow as tf
import typer
from numpy.typing import NDArray

from benchmarks.common import machine, show, write_json
from keras_archs.registry import create_model, model_card

PLAIN, GROUPED = "resnet-50", "resnext-50-32x4d"

Work = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """What was measured of one kind of work. A ratio is the grouped network's time per multiply-add to the other's."""

    work: str
    plain_ms: float
    grouped_ms: float
    ratio: float
    processor_ratio: float


def main(
    batch: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 8,
    size: Annotated[int, typer.Option(min=32, help="Height and width of the images.")] = 224,
    runs: Annotated[int, typer.Option(min=1, help="Timed runs of each network and kind of work.")] = 10,
    json: Annotated[Path | None, typer.Option(help="File to write the figures to as well.")] = None,
) -> None:
    """Compares training steps and inference of both networks, on the TensorFlow backend."""
    about = machine()
    images = np.random.default_rng(0).normal(size=(batch, size, size, 3)).astype(np.float32)
    plain, grouped = (prepare(create_model(name), images) for name in (PLAIN, GROUPED))
    macs = model_card(GROUPED).cost.macs / model_card(PLAIN).cost.macs
    rows = []
    for work in plain:
        (plain_s, plain_cpu), (grouped_s, grouped_cpu) = interleaved([plain[work], grouped[work]], runs)
        ratios = grouped_s / plain_s / macs, grouped_cpu / plain_cpu / macs
        rows.append(Row(work, 1000 * plain_s, 1000 * grouped_s, *ratios))
    print(f"{about['cpu']}, {about['cores']} cores, load before: {about['load_before']}")
    show(
        f"{GROUPED} against {PLAIN} per multiply-add, {batch} images of {size} pixels",
        ("", "plain ms", "grouped ms", "ratio", "by processor"),
        (
            (row.work, f"{row.plain_ms:.0f}", f"{row.grouped_ms:.0f}", f"{row.ratio:.2f}", f"{row.processor_ratio:.2f}")
            for row in rows
        ),
    )
    write_json(json, {"batch": batch, "size": size, "runs": runs, **about, "rows": [asdict(row) for row in rows]})


def prepare(model: keras.Model, images: NDArray[np.float32]) -> dict[str, Work]:
    """Every kind of work by name, on the same images, traced and run once."""
    model.compile("sgd", "sparse_categorical_crossentropy")
    pixels, labels = tf.constant(images), tf.constant(np.arange(len(images)))
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
