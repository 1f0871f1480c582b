"""One image at a time through each way of running a model: what exporting and serving it our way gains.

python -m benchmarks.engines --model efficientnet-b0
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import openvino as ov
import tensorflow as tf
import typer
from numpy.typing import NDArray

from benchmarks.common import build, machine, picture, publish, show, write_json
from keras_archs.images.preprocessing import load_image
from keras_archs.repository import artifact
from keras_archs.runtimes.openvino_runtime import OpenVinoRuntime
from keras_archs.runtimes.runtime import Runtime
from keras_archs.runtimes.tensorflow_runtime import TensorFlowRuntime

if TYPE_CHECKING:
    import keras

Infer = Callable[[], NDArray[np.float32]]

BASELINE = "TensorFlow, model.export"
FASTEST_EXACT = "OpenVINO f32"
BLOCK = 10
TOLERANCE = 0.05  # bfloat16 keeps 8 bits of each factor; float32 contenders differ by less than 1e-5


@dataclass(frozen=True)
class Row:
    """What was measured of one contender. `difference` is the largest of a probability from the baseline's."""

    contender: str
    median_ms: float
    p90_ms: float
    times_as_fast: float
    top1: int
    difference: float


def main(
    model: Annotated[str, typer.Option(help="A model of the registry.")] = "efficientnet-b0",
    runs: Annotated[int, typer.Option(min=1, help="Timed runs per contender.")] = 200,
    json: Annotated[Path | None, typer.Option(help="File to write the figures to as well.")] = None,
) -> None:
    """Compares ways of running one model on one image."""
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
                f"{row.times_as_fast:.2f}",
                str(row.top1),
                f"{row.difference:.1e}",
            )
            for row in rows
        ),
    )
    if "OpenVINO bf16" not in contenders:
        print("OpenVINO bf16 is left out: without bfloat16 in the CPU, OpenVINO would compute in float32")
    write_json(json, {"model": model, "runs": runs, **about, "rows": [asdict(row) for row in rows]})
    ratio = next(row.times_as_fast for row in rows if row.contender == FASTEST_EXACT)
    print(f"{FASTEST_EXACT} is {ratio:.1f} times as fast as model.export in TensorFlow")


def prepare(name: str, folder: Path) -> dict[str, Infer]:
    """Every contender by name, each ready to classify the same picture."""
    model = build(name)
    version_dir = publish(model, folder, name)
    card = artifact.read_card(version_dir)
    pixels = load_image(picture(), card.preprocessing)[np.newaxis]
    # all cores on the one image; the gateway's default computes several images side by side
    runtimes: dict[str, Runtime] = {
        "TensorFlow, frozen": TensorFlowRuntime(),
        "OpenVINO f32": OpenVinoRuntime(precision="f32", streams=1),
    }
    if "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        runtimes["OpenVINO bf16"] = OpenVinoRuntime(precision="bf16", streams=1)
    contenders = {BASELINE: plain_export(model, folder / "plain", card.preprocessing.normalize(pixels))}
    for contender, runtime in runtimes.items():
        session = runtime.load(version_dir, card)
        contenders[contender] = lambda session=session: session.infer(pixels)  # type: ignore[misc]
    return contenders


def plain_export(model: keras.Model, folder: Path, images: NDArray[np.float32]) -> Infer:
    """What Keras alone offers. Its input is normalised beforehand, which the others do in the graph."""
    model.export(folder, verbose=False)
    loaded = tf.saved_model.load(folder)
    (argument,) = loaded.signatures["serving_default"].structured_input_signature[1]

    def infer() -> NDArray[np.float32]:
        (output,) = loaded.signatures["serving_default"](**{argument: tf.constant(images)}).values()
        probabilities: NDArray[np.float32] = output.numpy()
        return probabilities

    return infer


def check_agreement(answers: dict[str, NDArray[np.float32]]) -> None:
    """Ends the program if a contender computes something else: its speed would mean nothing."""
    for name, answer in answers.items():
        difference = np.abs(answer - answers[BASELINE]).max()
        if difference > TOLERANCE:
            raise SystemExit(f"{name} differs from {BASELINE} by {difference:.2g} in a probability")


def interleaved(contenders: dict[str, Infer], runs: int) -> dict[str, list[float]]:
    """Seconds per run. The contenders take turns, so that a busy machine slows them all.

    A turn is a block of runs: were it a single one, each would find the caches full of the others' weights.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    while len(times[BASELINE]) < runs:
        for name, infer in contenders.items():
            infer()  # untimed: it brings the weights back, and lets the others' threads go to sleep
            for _ in range(BLOCK):
                started = time.perf_counter()
                infer()
                times[name].append(time.perf_counter() - started)
    return times


def summarise(name: str, times: dict[str, list[float]], answers: dict[str, NDArray[np.float32]]) -> Row:
    """One contender's row."""
    median, p90 = np.percentile(times[name], [50, 90])
    return Row(
        contender=name,
        median_ms=float(1000 * median),
        p90_ms=float(1000 * p90),
        times_as_fast=float(np.median(times[BASELINE]) / median),
        top1=int(answers[name].argmax()),
        difference=float(np.abs(answers[name] - answers[BASELINE]).max()),
    )


if __name__ == "__main__":
    typer.run(main)
