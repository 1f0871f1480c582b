"""Images per second in float32, bfloat16 and int8, and how often the answers agree, on one version in OpenVINO.

    python -m benchmarks.arithmetic
    python -m benchmarks.arithmetic --repository models --model flowers --photos photographs

The first form publishes EfficientNet-Lite0, quantizes it on crops of scikit-image's photographs, and measures the
agreement on other crops. The second measures a version that `keras-archs quantize` has published, and the agreement on
photographs of your own. `ratio` is the rate divided by float32's. `agreement` is the share of pictures with float32's
best class; `clear` counts only pictures whose best class is more than twice as probable as the next in float32.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import skimage
import typer
from numpy.typing import NDArray
from PIL import Image

from benchmarks.common import build, machine, publish, show, write_json
from keras_archs.quantization.candidate import make_candidate
from keras_archs.quantization.measure import answers
from keras_archs.quantization.pictures import read_pictures
from keras_archs.repository import artifact
from keras_archs.runtimes.loading import load_version
from keras_archs.runtimes.machine import usable_cores
from keras_archs.runtimes.openvino_runtime import OpenVinoRuntime
from keras_archs.runtimes.runtime import Precision, Session

PHOTOGRAPHS = (
    *("astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "coffee.png", "coins.png", "grass.png"),
    *("gravel.png", "horse.png", "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png", "page.png"),
    *("retina.jpg", "rocket.jpg"),
)
CROPS = 50
"""Crops of each photograph."""
ROUND_SECONDS = 1.0


@dataclass(frozen=True)
class Row:
    """Measurements of one arithmetic."""

    arithmetic: str
    images_per_second: float
    ratio: float
    agreement: float
    clear: float
    largest_difference: float
    mean_difference: float


def main(
    repository: Annotated[Path | None, typer.Option(help="Repository with a quantized version.")] = None,
    model: Annotated[str, typer.Option(help="Model to measure.")] = "efficientnet-lite0",
    photos: Annotated[Path | None, typer.Option(help="At least 200 pictures; by default crops of photographs.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of a second for each arithmetic.")] = 10,
    json: Annotated[Path | None, typer.Option(help="Also write the figures to this file, as JSON.")] = None,
) -> None:
    """Compare float32, bfloat16 and int8 in one run."""
    about = machine()
    with tempfile.TemporaryDirectory() as temporary:
        pictures = photos or write_crops(Path(temporary) / "crops")
        version_dir = (
            quantized(model, pictures, Path(temporary)) if repository is None else published(repository, model)
        )
        preprocessing = artifact.read_card(version_dir).preprocessing
        images = read_pictures(pictures, preprocessing).agreement
        sessions = load(version_dir)
    received = {name: answers(session.infer, images) for name, session in sessions.items()}
    rates = interleaved(sessions, images, rounds)
    rows = [row(name, rates, received) for name in sessions]
    print(f"{about['cpu']}, {about['cores']} cores, load before: {about['load_before']}")
    show(
        f"{model}, {len(images)} pictures",
        ("", "images/s", "ratio", "agreement", "clear", "max diff", "mean diff"),
        (
            (
                found.arithmetic,
                f"{found.images_per_second:.0f}",
                f"{found.ratio:.2f}",
                f"{found.agreement:.3f}",
                f"{found.clear:.3f}",
                f"{found.largest_difference:.3f}",
                f"{found.mean_difference:.4f}",
            )
            for found in rows
        ),
    )
    write_json(json, {"model": model, "pictures": len(images), **about, "rows": [asdict(found) for found in rows]})
    print(", ".join(f"{found.arithmetic} is {found.ratio:.2f} times as fast as f32" for found in rows[1:]))


def write_crops(folder: Path) -> Path:
    """Write random crops, of a quarter to all of the largest square, of the photographs."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for name in PHOTOGRAPHS:
        with Image.open(Path(skimage.__file__).with_name("data") / name) as opened:
            photograph = opened.convert("RGB")
        for number in range(CROPS):
            side = int(min(photograph.size) * random.uniform(0.25, 1) ** 0.5)
            left, top = (int(random.integers(0, length - side + 1)) for length in photograph.size)
            crop = photograph.crop((left, top, left + side, top + side))
            crop.save(folder / f"{Path(name).stem}-{number}.jpg", quality=90)
    return folder


def quantized(name: str, pictures: Path, folder: Path) -> Path:
    """Publish a model of the registry, quantize it, and return the folder of the quantized version."""
    version_dir = publish(build(name), folder / "models", name)
    card = artifact.read_card(version_dir)
    read = read_pictures(pictures, card.preprocessing)
    with make_candidate(version_dir, card, read, None, max_drop=100) as candidate:
        return version_dir.with_name(str(candidate.publish()))


def published(repository: Path, name: str) -> Path:
    """Return the newest version of a model that has an int8 graph."""
    for version in reversed(artifact.find_versions(repository, name)):
        version_dir = artifact.find_version(repository, name, version)
        if artifact.read_card(version_dir).quantization:
            return version_dir
    raise SystemExit(f"no version of {name} has an int8 graph: keras-archs quantize {name} --repository {repository}")


def load(version_dir: Path) -> dict[str, Session]:
    """Return the sessions of a version by their arithmetic, float32 first, without those that fail its check."""
    card = artifact.read_card(version_dir)
    precisions: tuple[tuple[Precision, bool], ...] = (("f32", False), ("bf16", False), ("f32", True))
    sessions: dict[str, Session] = {}
    for precision, is_int8 in precisions:
        runtime = OpenVinoRuntime(precision=precision, streams=usable_cores())
        try:
            session = load_version(runtime, version_dir, card if is_int8 else replace(card, quantization=None))
        except artifact.ArtifactError as error:
            print(f"{precision} was not measured: {error}")
            continue
        sessions.setdefault(session.arithmetic, session)
    return sessions


def interleaved(sessions: Mapping[str, Session], images: NDArray[np.uint8], rounds: int) -> dict[str, list[float]]:
    """Return images per second of each round; the sessions take turns, so that a busy machine slows all of them."""
    rates: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(rounds):
        for name, session in sessions.items():
            rates[name].append(rate(session, images))
    return rates


def rate(session: Session, images: NDArray[np.uint8]) -> float:
    """Return the images per second that twice as many threads as cores compute."""
    workers = 2 * usable_cores()
    started = time.perf_counter()

    def work(first: int) -> int:
        done = 0
        while time.perf_counter() - started < ROUND_SECONDS:
            position = (first + done * workers) % len(images)
            session.infer(images[position : position + 1])
            done += 1
        return done

    with ThreadPoolExecutor(workers) as executor:
        done = sum(executor.map(work, range(workers)))
    return done / (time.perf_counter() - started)


def row(name: str, rates: Mapping[str, list[float]], received: Mapping[str, NDArray[np.float32]]) -> Row:
    """Return the row of an arithmetic."""
    expected, found = received["f32"], received[name]
    agrees = expected.argmax(axis=1) == found.argmax(axis=1)
    ordered = np.sort(expected, axis=1)
    is_clear = ordered[:, -1] > 2 * ordered[:, -2]
    largest = np.abs(expected - found).max(axis=1)
    return Row(
        arithmetic=name,
        images_per_second=statistics.median(rates[name]),
        ratio=statistics.median(np.divide(rates[name], rates["f32"]).tolist()),
        agreement=float(agrees.mean()),
        clear=float(agrees[is_clear].mean()) if is_clear.any() else float("nan"),
        largest_difference=float(largest.max()),
        mean_difference=float(largest.mean()),
    )


if __name__ == "__main__":
    typer.run(main)
