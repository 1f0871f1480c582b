"""Throughput of fine-tuning beside the shortest plain Keras script, and of the images that it gets.

    python -m benchmarks.fine_tuning --rounds 3 --json fine_tuning.json

The contenders train on the same photographs of 500x375 pixels, with batches of the same size, at 224 pixels: our
networks by `fine_tune` with the default recipe (random crops and mirror images included), networks of
`keras.applications` by `compile` and `fit` on `keras.utils.image_dataset_from_directory`, without augmentation. Each
contender has a process of its own, and they run in turns. The first steps, in which TensorFlow traces the step, do not
count; neither does validation.

`per MAC` is the ratio of images/s times multiply-adds: above 1, our training makes more of the processor. `by
CPU` is the same ratio by processor time, which a busy machine hardly changes. `waiting` is the share of the time
in which the step waits for its images.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from PIL import Image
from skimage import data

from benchmarks.common import machine, show, write_json
from keras_archs.images.decoding import load_crop
from keras_archs.images.formats import inspect
from keras_archs.images.preprocessing import Preprocessing

SIDE: Final = 224
CLASSES: Final = 10
WARM_UP: Final = 3
"""Steps that do not count."""
PHOTOGRAPHS: Final = ("astronaut", "chelsea", "coffee", "hubble_deep_field", "immunohistochemistry", "retina", "rocket")


class EnoughError(Exception):
    """All steps are measured."""


@dataclass
class Clock:
    """Elapsed time, time of the processor and time of waiting, at the end of each step."""

    ends: list[tuple[float, float, float]] = field(default_factory=list)
    waited: float = 0.0

    def end_step(self) -> None:
        """Remember the times of now."""
        self.ends.append((time.perf_counter(), time.process_time(), self.waited))

    def per_step(self) -> tuple[float, float, float]:
        """Return the mean times of the steps after the warm-up, in seconds."""
        first, last = np.array(self.ends[WARM_UP - 1]), np.array(self.ends[-1])
        elapsed, processor, waited = (last - first) / (len(self.ends) - WARM_UP)
        return float(elapsed), float(processor), float(waited)


@dataclass(frozen=True)
class Measurement:
    """Measurements of one contender in one round."""

    images_per_second: float
    processor_ms: float
    """Of an image."""
    waiting: float | None = None
    macs: int = 0
    """Multiply-adds of an image in inference."""


@dataclass(frozen=True)
class Ratio:
    """Our training relative to a plain script's: medians over the rounds."""

    ours: str
    plain: str
    images: float
    per_multiply_add: float
    by_processor: float


Contender = Callable[[Path, int, int], Measurement]
"""Function from a folder of photographs, images per batch and number of steps."""


def main(
    networks: Annotated[
        str, typer.Option(help="Networks of the registry, separated by commas.")
    ] = "efficientnet-lite0,mobilenet-1.0-224",
    plain: Annotated[
        str, typer.Option(help="Functions of keras.applications, separated by commas.")
    ] = "EfficientNetB0,MobileNet",
    batch: Annotated[int, typer.Option(min=1, help="Images per batch.")] = 32,
    steps: Annotated[int, typer.Option(min=1, help="Timed steps of a contender in a round.")] = 8,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds.")] = 3,
    json: Annotated[Path | None, typer.Option(help="Also write the figures to this file, as JSON.")] = None,
) -> None:
    """Compare fine-tuning with plain Keras on the TensorFlow backend."""
    about = machine()
    ours = {f"our {name}": OurTraining(name) for name in networks.split(",")}
    scripts = {f"Keras' {name}": PlainTraining(name) for name in plain.split(",")}
    contenders: dict[str, Contender] = {
        "our images alone": our_batches,
        "Keras' images alone": plain_batches,
        **ours,
        **scripts,
    }
    measured: dict[str, list[Measurement]] = {name: [] for name in contenders}
    with tempfile.TemporaryDirectory() as folder:
        write_photographs(Path(folder), 2 * batch * (steps + WARM_UP))
        stages = time_stages(Path(folder))
        for _, name in itertools.product(range(rounds), contenders):
            measured[name].append(alone(contenders[name], Path(folder), batch, steps + WARM_UP))
    medians = {name: median(found) for name, found in measured.items()}
    ratios = [compare(one, other, medians) for one in ours for other in scripts]
    print(f"{about['cpu']}, {about['cores']} cores, load before: {about['load_before']}")
    show(
        f"Batches of {batch} images of {SIDE} pixels, {rounds} rounds of {steps} steps",
        ("", "MMAC", "images/s", "GMAC/s", "CPU ms", "waiting"),
        (
            (
                name,
                f"{row.macs / 1e6:.0f}" if row.macs else "",
                f"{row.images_per_second:.1f}",
                f"{row.images_per_second * row.macs / 1e9:.1f}" if row.macs else "",
                f"{row.processor_ms:.1f}",
                "" if row.waiting is None else f"{row.waiting:.1%}",
            )
            for name, row in medians.items()
        ),
    )
    show(
        "Ours relative to the plain script",
        ("", "images/s", "per MAC", "by CPU"),
        (
            (f"{r.ours} to {r.plain}", f"{r.images:.2f}", f"{r.per_multiply_add:.2f}", f"{r.by_processor:.2f}")
            for r in ratios
        ),
    )
    show("One image of 500x375 pixels on one thread", ("", "ms"), ((name, f"{ms:.2f}") for name, ms in stages.items()))
    figures = {"batch": batch, "steps": steps, "rounds": rounds, **about, "stages": stages}
    rows = {name: [asdict(row) for row in found] for name, found in measured.items()}
    write_json(json, {**figures, "rows": rows, "ratios": [asdict(ratio) for ratio in ratios]})


def alone(contender: Contender, folder: Path, batch: int, steps: int) -> Measurement:
    """Run a contender in a process of its own, so that no state of TensorFlow is shared."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(contender, folder, batch, steps).result()


def our_batches(folder: Path, batch: int, steps: int) -> Measurement:
    """Measure the batches of the default recipe, with nothing that uses them."""
    from keras_archs.training import RECIPES, image_folder
    from keras_archs.training.data.batches import TrainingBatches

    size = Preprocessing((SIDE, SIDE), (127.0,) * 3, (128.0,) * 3)
    images = image_folder(folder).train
    batches = TrainingBatches(images, CLASSES, size, RECIPES["fine-tune"].augmentation, batch=batch, seed=0)
    return drain(batches.iterate(), batch, 4 * steps)


def plain_batches(folder: Path, batch: int, steps: int) -> Measurement:
    """Measure Keras' data set, with nothing that uses it."""
    return drain(iter(plain_dataset(folder, batch).repeat().as_numpy_iterator()), batch, 4 * steps)


def drain(batches: Iterator[Any], batch: int, steps: int) -> Measurement:
    """Measure batches that are thrown away."""
    clock = Clock()
    for _ in itertools.islice(batches, steps):
        clock.end_step()
    elapsed, processor, _ = clock.per_step()
    return Measurement(batch / elapsed, 1000 * processor / batch)


@dataclass(frozen=True)
class OurTraining:
    """Fine-tuning with the default recipe."""

    network: str

    def __call__(self, folder: Path, batch: int, steps: int) -> Measurement:
        """Train for some steps."""
        from keras_archs.registry import model_card
        from keras_archs.training import RECIPES, fine_tune, image_folder
        from keras_archs.training.data.batches import TrainingBatches
        from keras_archs.training.networks import NetworkChoice

        clock = Clock()
        iterate = TrainingBatches.iterate

        def timed(batches: TrainingBatches, first_step: int = 0) -> Iterator[Any]:
            source = iterate(batches, first_step)
            try:
                while True:
                    began = time.perf_counter()
                    prepared = next(source)
                    clock.waited += time.perf_counter() - began
                    yield prepared
            finally:
                source.close()

        def on_step(done: int, planned: int) -> None:
            clock.end_step()
            if done == steps:
                raise EnoughError

        TrainingBatches.iterate = timed  # type: ignore[method-assign, assignment]
        recipe = replace(RECIPES["fine-tune"], batch=batch)
        with contextlib.suppress(EnoughError):
            fine_tune(image_folder(folder), NetworkChoice(self.network), recipe=recipe, on_step=on_step)
        elapsed, processor, waited = clock.per_step()
        macs = model_card(self.network).cost.macs
        return Measurement(batch / elapsed, 1000 * processor / batch, waited / elapsed, macs)


@dataclass(frozen=True)
class PlainTraining:
    """The shortest script with a network of keras.applications."""

    network: str

    def __call__(self, folder: Path, batch: int, steps: int) -> Measurement:
        """Train for some steps."""
        import keras

        from keras_archs import profile

        dataset = plain_dataset(folder, batch).map(lambda images, labels: (images / 127.5 - 1, labels))
        model = getattr(keras.applications, self.network)(weights=None, classes=CLASSES, input_shape=(SIDE, SIDE, 3))
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        clock = Clock()
        ends = keras.callbacks.LambdaCallback(on_train_batch_end=lambda number, logs: clock.end_step())
        model.fit(dataset.take(steps), callbacks=[ends], verbose=0)
        elapsed, processor, _ = clock.per_step()
        return Measurement(batch / elapsed, 1000 * processor / batch, macs=profile(model).macs or 0)


def plain_dataset(folder: Path, batch: int) -> Any:
    """Return the images as Keras reads them."""
    import keras

    return keras.utils.image_dataset_from_directory(folder, batch_size=batch, image_size=(SIDE, SIDE), verbose=False)


def write_photographs(folder: Path, count: int) -> None:
    """Write random parts of real photographs as JPEG files of 500x375 pixels, in folders of ten classes."""
    rng = np.random.default_rng(0)
    photographs = [Image.fromarray(getattr(data, name)()) for name in PHOTOGRAPHS]
    for number in range(count):
        photograph = photographs[number % len(photographs)]
        width = round(rng.uniform(0.5, 1) * min(photograph.width, photograph.height * 4 / 3))
        height = width * 3 // 4
        left, top = (int(rng.integers(spare + 1)) for spare in (photograph.width - width, photograph.height - height))
        part = photograph.resize((500, 375), box=(left, top, left + width, top + height))
        path = folder / f"class {number % CLASSES}" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        part.save(path, quality=90)


def time_stages(folder: Path, runs: int = 100) -> dict[str, float]:
    """Return the milliseconds of the stages from a file to a row of a batch, on one thread."""
    from keras_archs.training.data.random_crops import random_box

    path = next(folder.rglob("*.jpg"))
    file = path.read_bytes()
    size = Preprocessing((SIDE, SIDE), (127.0,) * 3, (128.0,) * 3)
    rng = np.random.default_rng(0)
    pixels = load_crop(file, size, lambda width, height: random_box(width / height, 0.35, rng))

    def crop() -> object:
        return load_crop(file, size, lambda width, height: random_box(width / height, 0.35, rng))

    def decode() -> object:
        return Image.open(io.BytesIO(file)).load()

    stages: dict[str, Callable[[], object]] = {
        "read the file": path.read_bytes,
        "read the header": lambda: inspect(file),
        "header, decode, resize": crop,
        "of which decode": decode,
        "normalise": lambda: size.normalize(pixels),
    }
    return {name: 1000 * median_seconds(run, runs) for name, run in stages.items()}


def median_seconds(run: Callable[[], object], runs: int) -> float:
    """Return the median duration of a function."""
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def median(found: list[Measurement]) -> Measurement:
    """Return the medians over the rounds."""
    waiting = [row.waiting for row in found if row.waiting is not None]
    return Measurement(
        images_per_second=float(np.median([row.images_per_second for row in found])),
        processor_ms=float(np.median([row.processor_ms for row in found])),
        waiting=float(np.median(waiting)) if waiting else None,
        macs=found[0].macs,
    )


def compare(ours: str, plain: str, medians: dict[str, Measurement]) -> Ratio:
    """Return the ratios of two contenders."""
    one, other = medians[ours], medians[plain]
    images, macs = one.images_per_second / other.images_per_second, one.macs / other.macs
    return Ratio(ours, plain, images, images * macs, other.processor_ms / one.processor_ms * macs)


if __name__ == "__main__":
    typer.run(main)
