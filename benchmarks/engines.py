"""Latency of one image in each engine, all cores on that image.

    python -m benchmarks.engines --model efficientnet-b0

Compared are `model.export` in TensorFlow (Keras' own export; its input is normalised beforehand), this package's frozen
export in TensorFlow, and the same export in OpenVINO, in float32 and, if the processor has it, bfloat16. `speed-up` is
the median latency of `model.export` divided by the row's: above 1 is faster. `max diff` is the largest difference of a
probability from `model.export`'s.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import tensorflow as tf
import typer
from numpy.typing import NDArray

from benchmarks.common import build, machine, picture, publish, show, write_json
from keras_archs.images.decoding import load_image
from keras_archs.repository import artifact
from keras_archs.runtimes.openvino_runtime import OpenVinoRuntime, has_bfloat16
from keras_archs.runtimes.runtime import Runtime
from keras_archs.runtimes.silent_openvino import ov
from keras_archs.runtimes.tensorflow_runtime import TensorFlowRuntime

if TYPE_CHECKING:
    import keras

Infer = Callable[[], NDArray[np.float32]]

BASELINE = "TensorFlow, model.export"
FASTEST_EXACT = "OpenVINO f32"
BLOCK = 10
"""Consecutive timed runs of one contender."""
TOLERANCE = 0.05
"""Largest accepted difference of a probability: bfloat16 has 8 significant bits; float32 engines differ by < 1e-5."""


@dataclass(frozen=True)
class Row:
    """Measurements of one contender; `difference` is the largest difference of a probability from the baseline's."""

    contender: str
    median_ms: float
    p90_ms: float
    speed_up: float
    top1: int
    difference: float


def main(
    model: Annotated[str, typer.Option(help="A model of the registry.")] = "efficientnet-b0",
    runs: Annotated[int, typer.Option(min=1, help="Timed runs per contender.")] = 200,
    json: Annotated[Path | None, typer.Option(help="Also write the figures to this file, as JSON.")] = None,
) -> None:
    """Compare engines on one model and one image at a time."""
    about = machine()
    with tempfile.TemporaryDirectory() as folder:
        contenders = prepare(model, Path(folder))
        answers = {name: infer() for name, infer in contenders.items()}
        check_agreement(answers)
        times = interleaved(contenders, runs)
    rows = [summarise(name, times, answers) for name in contenders]
    print(f"{about['cpu']}, {about['cores']} cores, load before: {about['load_before']}")
    show(
        f"{model}, one image",
        ("", "median ms", "p90 ms", "speed-up", "top-1", "max diff"),
        (
            (
                row.contender,
                f"{row.median_ms:.1f}",
                f"{row.p90_ms:.1f}",
                f"{row.speed_up:.2f}",
                str(row.top1),
                f"{row.difference:.1e}",
            )
            for row in rows
        ),
    )
    if "OpenVINO bf16" not in contenders:
        print("OpenVINO bf16 was not measured: this processor has no bfloat16, so OpenVINO would compute in float32")
    write_json(json, {"model": model, "runs": runs, **about, "rows": [asdict(row) for row in rows]})
    ratio = next(row.speed_up for row in rows if row.contender == FASTEST_EXACT)
    print(f"{FASTEST_EXACT} is {ratio:.1f} times as fast as model.export in TensorFlow")


def prepare(name: str, folder: Path) -> dict[str, Infer]:
    """Return the contenders by name, each ready to classify the test image."""
    model = build(name)
    version_dir = publish(model, folder, name)
    card = artifact.read_card(version_dir)
    pixels = load_image(picture(), card.preprocessing)[np.newaxis]
    # streams=1 puts all cores on one image; the gateway's default computes several images in parallel
    runtimes: dict[str, Runtime] = {
        "TensorFlow, frozen": TensorFlowRuntime(),
        "OpenVINO f32": OpenVinoRuntime(precision="f32", streams=1),
    }
    if has_bfloat16(ov.Core()):
        runtimes["OpenVINO bf16"] = OpenVinoRuntime(precision="bf16", streams=1)
    contenders = {BASELINE: plain_export(model, folder / "plain", card.preprocessing.normalize(pixels))}
    for contender, runtime in runtimes.items():
        session = runtime.load(version_dir, card)
        contenders[contender] = lambda session=session: session.infer(pixels)  # type: ignore[misc]
    return contenders


def plain_export(model: keras.Model, folder: Path, images: NDArray[np.float32]) -> Infer:
    """Return the baseline: Keras' own export, whose input must be normalised by the caller."""
    model.export(folder, verbose=False)
    loaded = tf.saved_model.load(folder)
    (argument,) = loaded.signatures["serving_default"].structured_input_signature[1]

    def infer() -> NDArray[np.float32]:
        (output,) = loaded.signatures["serving_default"](**{argument: tf.constant(images)}).values()
        probabilities: NDArray[np.float32] = output.numpy()
        return probabilities

    return infer


def check_agreement(answers: dict[str, NDArray[np.float32]]) -> None:
    """End the program if a contender's probabilities differ: its speed would mean nothing."""
    for name, answer in answers.items():
        difference = np.abs(answer - answers[BASELINE]).max()
        if difference > TOLERANCE:
            raise SystemExit(f"{name} differs from {BASELINE} by {difference:.2g} in a probability")


def interleaved(contenders: dict[str, Infer], runs: int) -> dict[str, list[float]]:
    """Return the seconds of each run, with the contenders in turns, so that a busy machine slows all of them.

    A turn has `BLOCK` runs: after a single run of another contender the caches would hold that contender's weights.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    while len(times[BASELINE]) < runs:
        for name, infer in contenders.items():
            infer()  # not timed: reloads the caches, and gives the other contenders' threads time to go to sleep
            for _ in range(BLOCK):
                started = time.perf_counter()
                infer()
                times[name].append(time.perf_counter() - started)
    return times


def summarise(name: str, times: dict[str, list[float]], answers: dict[str, NDArray[np.float32]]) -> Row:
    """Return the row of a contender."""
    median, p90 = np.percentile(times[name], [50, 90])
    return Row(
        contender=name,
        median_ms=float(1000 * median),
        p90_ms=float(1000 * p90),
        speed_up=float(np.median(times[BASELINE]) / median),
        top1=int(answers[name].argmax()),
        difference=float(np.abs(answers[name] - answers[BASELINE]).max()),
    )


if __name__ == "__main__":
    typer.run(main)
