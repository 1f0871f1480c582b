"""Accuracy of networks after the same training, beside their multiply-adds and their time per training step.

    python -m benchmarks.stochastic_depth --output stochastic_depth.jsonl
    python -m benchmarks.stochastic_depth --members --output stochastic_depth.jsonl

The first line trains a ResNet and the same network with stochastic depth (Huang et al. 2016), the second line small
members of other families, all from scratch on 3,500 digits of MNIST at 32 pixels; 500 others choose the best epoch, and
1,000 others test. The networks take turns: seed 0 of each, then seed 1 of each. Each training appends a line to the
file, and a training whose line the file has is not repeated: an interrupted measurement goes on.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final

import keras
import typer

import keras_archs
from benchmarks.common import machine, show
from keras_archs.training import RECIPES, Dataset, Recipe, fine_tune, packaged
from keras_archs.training.tuning.validation import Validation

PREPROCESSING: Final = keras_archs.Preprocessing(size=(32, 32), mean=(33.0,), std=(79.0,), crop_fraction=1.0)
"""Mean and standard deviation of MNIST's pixels."""


@dataclass(frozen=True)
class Network:
    """A network that is trained."""

    title: str
    build: Callable[..., keras.Model]
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Trained:
    """A line of the file: one training and its result."""

    network: str
    seed: int
    epochs: int
    batch: int
    parameters: int
    macs: int
    step_ms: float
    """Median time of a training step, without those of the first epoch."""
    step_cpu_ms: float
    """Mean processor time of these steps, which a busy machine hardly changes."""
    loss: float
    """Loss of the training images in the last epoch, in training mode."""
    test_loss: float
    test_accuracy: float
    load: float
    """Load average before the training."""


MEMBERS: Final = (
    Network("ResNet-20", keras_archs.ResNet20, {}),
    Network("SE-ResNet-20", keras_archs.ResNet20, {"se_ratio": 1 / 4}),
    Network("WRN-16-2", keras_archs.WideResNet, {"depth": 16, "widen_factor": 2}),
    Network("MobileNet 0.25", keras_archs.MobileNet, {"alpha": 0.25}),
    Network("DenseNet-40-12", keras_archs.DenseNet40_12, {}),
)


def twins(depth: int) -> tuple[Network, Network]:
    """Return ResNet for CIFAR of a depth, with constant depth and with survival that decays linearly to 0.5."""
    build = {20: keras_archs.ResNet20, 56: keras_archs.ResNet56, 110: keras_archs.ResNet110}[depth]
    dropped = {"drop_path_rate": 0.5, "drop_path_per": "batch"}
    return Network(f"ResNet-{depth}", build, {}), Network(f"ResNet-{depth} stochastic", build, dropped)


def main(
    output: Annotated[Path, typer.Option(help="File that each training appends a line of JSON to.")],
    depth: Annotated[int, typer.Option(help="Layers of the ResNet: 20, 56 or 110.")] = 56,
    members: Annotated[bool, typer.Option(help="Train small members of other families instead.")] = False,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each network.")] = 3,
    epochs: Annotated[int, typer.Option(min=2, help="Passes over the training images.")] = 15,
    batch: Annotated[int, typer.Option(min=1, help="Images per training step.")] = 64,
) -> None:
    """Train the networks in turns, then print a table of all trainings in the file."""
    about = machine()
    print(f"{about['cpu']}, {about['cores']} cores, load before: {about['load_before']}")
    # An epoch of warm-up, since the paper's 250 epochs at the highest rate are 7 here.
    recipe = replace(RECIPES["stochastic-depth"], epochs=epochs, batch=batch, warmup_epochs=1)
    data = packaged("mnist5k")
    done = {(row.network, row.seed, row.epochs, row.batch) for row in read(output)}
    for seed in range(seeds):
        for network in MEMBERS if members else twins(depth):
            if (network.title, seed, epochs, batch) not in done:
                row = train(network, data, recipe, seed)
                with output.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(row)) + "\n")
                print(f"{row.network}, seed {seed}: {row.test_accuracy:.1%}, {row.step_cpu_ms:.0f} ms", flush=True)
    show_all(read(output))


def train(network: Network, data: Dataset, recipe: Recipe, seed: int) -> Trained:
    """Train one network from its initial weights and test it."""
    load = machine()["load_before"]
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    model = network.build(input_shape=(32, 32, 1), classes=len(data.classes), **network.arguments)
    clock = StepClock()
    tuned = fine_tune(data, model, recipe=recipe, preprocessing=PREPROCESSING, seed=seed, callbacks=[clock])
    assert data.test is not None
    macs = keras_archs.profile(model).macs
    assert macs is not None
    score = Validation(data.test, PREPROCESSING, batch=250).measure(model)
    assert score is not None
    first_epoch = len(clock.elapsed) // recipe.epochs
    return Trained(
        network=network.title,
        seed=seed,
        epochs=recipe.epochs,
        batch=recipe.batch,
        parameters=model.count_params(),
        macs=macs,
        step_ms=1000 * statistics.median(clock.elapsed[first_epoch:]),
        step_cpu_ms=1000 * statistics.mean(clock.processor[first_epoch:]),
        loss=tuned.history[-1].loss,
        test_loss=score.loss,
        test_accuracy=score.accuracy,
        load=load,
    )


class StepClock(keras.callbacks.Callback):
    """Measures each training step, in seconds: elapsed, and of the processor."""

    def __init__(self) -> None:
        super().__init__()
        self.elapsed: list[float] = []
        self.processor: list[float] = []
        self._begin = 0.0, 0.0

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Read both clocks."""
        self._begin = time.perf_counter(), time.process_time()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Append the differences."""
        self.elapsed.append(time.perf_counter() - self._begin[0])
        self.processor.append(time.process_time() - self._begin[1])


def read(path: Path) -> list[Trained]:
    """Return the trainings in a file; none if there is no file."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [Trained(**json.loads(line)) for line in lines]


def show_all(rows: Iterable[Trained]) -> None:
    """Print a table for each number of epochs and images per step: a line per network, over its seeds."""
    tables: dict[tuple[int, int], dict[str, list[Trained]]] = {}
    for row in rows:
        tables.setdefault((row.epochs, row.batch), {}).setdefault(row.network, []).append(row)
    for (epochs, batch), networks in tables.items():
        show(
            f"{epochs} epochs, batches of {batch}",
            ("", "multiply-adds", "ms", "CPU ms", "accuracy", "spread", "n"),
            (cells(trainings) for trainings in networks.values()),
        )


def cells(rows: Sequence[Trained]) -> tuple[str, ...]:
    """Return the line of one network.

    Its time per step is that of the seed that a busy machine has disturbed least, its processor time and accuracy are
    means over the seeds, and the spread is the standard deviation of the accuracy in percentage points.
    """
    accuracies = [row.test_accuracy for row in rows]
    return (
        rows[0].network,
        f"{rows[0].macs / 1e6:.1f} M",
        f"{min(row.step_ms for row in rows):.0f}",
        f"{statistics.mean(row.step_cpu_ms for row in rows):.0f}",
        f"{statistics.mean(accuracies):.2%}",
        f"{100 * statistics.stdev(accuracies):.2f}" if len(rows) > 1 else "",
        str(len(rows)),
    )


if __name__ == "__main__":
    typer.run(main)
