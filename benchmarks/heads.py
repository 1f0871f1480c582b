"""From a folder of photographs to an endpoint that answers: the whole time, and the time of each phase.

    python -m benchmarks.heads --images 1000,10000 --accuracy

Photographs of 500x375 pixels in ten classes are cut out of scikit-image's pictures: they are for times alone. Each
contender is a new process with empty caches. `keras-archs train` is measured from its start until `POST
/classify/flowers` answers with status 200, once with a gateway that runs already and once with one that starts at the
same time; then again with one more class, when the features of the others are cached. A process that calls `fit_head`
and `export_model` shows the phases. The naive way, Keras' `predict` on `image_dataset_from_directory`, computes the
features of a part of the photographs for comparison. `--accuracy` adds heads on real classes: handwritten digits.
"""

from __future__ import annotations

import contextlib
import json as json_module
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
import typer
from PIL import Image
from skimage import data

from benchmarks.common import machine, show, write_json
from keras_archs.export.publish import export_model
from keras_archs.training import fit_head, image_folder, packaged
from keras_archs.training.data.dataset import Dataset
from keras_archs.training.heads.backbone import Backbone
from keras_archs.training.heads.features import features_of
from keras_archs.training.heads.fit_head import TrainedHead
from keras_archs.training.heads.temperature import cross_entropy, log_probabilities

PICTURES = (
    "astronaut",
    "brick",
    "camera",
    "cat",
    "coffee",
    "grass",
    "gravel",
    "hubble_deep_field",
    "immunohistochemistry",
    "rocket",
    "retina",
)
"""Ten classes, and one more for the second run."""
SIZE = (500, 375)
NAME = "flowers"
COMMAND = Path(sys.executable).with_name("keras-archs")
TIMEOUT_SECONDS = 900
NAIVE_IMAGES = 500
"""Most photographs that the naive way gets."""


def main(
    images: Annotated[str, typer.Option(help="Numbers of photographs, separated by commas.")] = "1000",
    accuracy: Annotated[bool, typer.Option("--accuracy", help="Also fit heads to handwritten digits.")] = False,
    json: Annotated[Path | None, typer.Option(help="Also write the figures to this file, as JSON.")] = None,
    part: Annotated[str | None, typer.Option(hidden=True)] = None,
    folder: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Measure the way from a folder of photographs to an endpoint."""
    if part is not None and folder is not None:
        print(json_module.dumps({"pieces": in_pieces, "naive": naively}[part](folder)))
        return
    about = machine()
    print(f"{about['cpu']}, {about['cores']} cores, load before: {about['load_before']}")
    figures: dict[str, Any] = {**about, "runs": {}}
    for count in map(int, images.split(",")):
        with tempfile.TemporaryDirectory() as temporary:
            figures["runs"][count] = measured = measure(count, Path(temporary))
        show_run(count, measured)
    if accuracy:
        figures["accuracy"] = [accuracy_of(name) for name in ("digits", "mnist5k")]
        show_accuracy(figures["accuracy"])
    write_json(json, figures)


def measure(count: int, folder: Path) -> dict[str, Any]:
    """Return the seconds of all ways to train with a number of photographs."""
    photos, more = folder / "photos", folder / "more"
    make_photographs(photos, PICTURES[:10], count)
    make_photographs(more, PICTURES[10:], count // 10)
    picture = next(photos.rglob("*.jpg")).read_bytes()
    measured: dict[str, Any] = {}
    with caches(folder / "with-gateway") as home, gateway(home) as address:
        wait_for(address, "/healthz")
        measured["gateway running"] = time_to_answer(home, photos, address, picture, version=1)
        shutil.copytree(more, photos, dirs_exist_ok=True)
        measured["one more class"] = time_to_answer(home, photos, address, picture, version=2)
        shutil.rmtree(photos / PICTURES[10])
    with caches(folder / "from-nothing") as home:
        started = time.perf_counter()
        with gateway(home) as address:
            before = time.perf_counter() - started
            measured["gateway started too"] = before + time_to_answer(home, photos, address, picture, version=1)
    with caches(folder / "pieces") as home:
        measured["phases"] = in_process("pieces", photos, home)
    with caches(folder / "naive") as home:
        measured["naive"] = in_process("naive", photos, home)
    phases = measured["phases"]
    measured["photographs per second"] = count / (phases["images"] - phases["graph"])
    measured["ratio to naive"] = measured["photographs per second"] / measured["naive"]["photographs per second"]
    return measured


def make_photographs(folder: Path, pictures: tuple[str, ...], count: int) -> None:
    """Write crops of pictures, `count` in all, at random places and scales, as JPEG files of quality 90."""
    generator = np.random.default_rng(0)
    for number, name in enumerate(pictures):
        picture = Image.fromarray(getattr(data, name)()).convert("RGB")
        (folder / name).mkdir(parents=True)
        for index in range(number, count, len(pictures)):
            width = min(picture.width, picture.height * SIZE[0] / SIZE[1]) * generator.uniform(0.4, 1.0)
            height = width * SIZE[1] / SIZE[0]
            left = generator.uniform(0, picture.width - width)
            top = generator.uniform(0, picture.height - height)
            crop = picture.resize(SIZE, box=(left, top, left + width, top + height))
            crop.save(folder / name / f"{index}.jpg", quality=90)


@contextlib.contextmanager
def caches(home: Path) -> Iterator[Path]:
    """Yield an empty folder for caches, runs and repository."""
    (home / "models").mkdir(parents=True)
    yield home
    shutil.rmtree(home)


def environment(home: Path) -> dict[str, str]:
    """Return the environment of a process that finds no caches."""
    return {**os.environ, "KERAS_HOME": str(home / "keras"), "TF_CPP_MIN_LOG_LEVEL": "3"}


@contextlib.contextmanager
def gateway(home: Path) -> Iterator[str]:
    """Start a gateway; yield its address, at which it may not answer yet."""
    command: list[str | Path] = [
        COMMAND,
        "serve",
        "--repository",
        home / "models",
        "--port",
        "0",
        "--log-level",
        "error",
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment(home)
    ) as child:
        try:
            assert child.stdout is not None
            line = next(line for line in child.stdout if "http://" in line)
            yield line[line.index("http://") :].split()[0].rstrip("/")
        finally:
            child.terminate()


def wait_for(address: str, path: str) -> None:
    """Wait until the gateway answers."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{address}{path}").status_code == httpx.codes.OK:
                return
        time.sleep(0.05)
    raise SystemExit(f"{address}{path} did not answer within {TIMEOUT_SECONDS} s")


def time_to_answer(home: Path, photos: Path, address: str, picture: bytes, *, version: int) -> float:
    """Start `keras-archs train`, and return the seconds until the gateway answers with the version."""
    command: list[str | Path] = [
        COMMAND,
        "train",
        photos,
        "--name",
        NAME,
        "--repository",
        home / "models",
        "--runs",
        home / "runs",
    ]
    started = time.perf_counter()
    with (
        subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment(home)
        ) as child,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        while not is_answered(client, picture, version):
            if child.poll() not in (None, 0) or time.perf_counter() - started > TIMEOUT_SECONDS:
                child.kill()
                assert child.stderr is not None
                raise SystemExit(f"keras-archs train failed: {child.stderr.read()}")
            time.sleep(0.05)
        seconds = time.perf_counter() - started
        child.communicate()  # the report
    return seconds


def is_answered(client: httpx.Client, picture: bytes, version: int) -> bool:
    """Ask the gateway to classify a picture with a version."""
    path = f"/classify/{NAME}"
    if version > 1:
        path += f"/versions/{version}"
    try:
        answer = client.post(path, content=picture, headers={"Content-Type": "image/jpeg"})
    except httpx.TransportError:  # it is not up yet
        return False
    return answer.status_code == httpx.codes.OK and f'"version":{version}' in answer.text.replace(" ", "")


def in_process(part: str, photos: Path, home: Path) -> dict[str, float]:
    """Run a part of this script in a new process, and return its figures, with the time of its start."""
    command: list[str | Path] = [sys.executable, "-m", "benchmarks.heads", "--part", part, "--folder", photos]
    started = time.perf_counter()
    child = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env=environment(home), timeout=TIMEOUT_SECONDS
    )
    total = time.perf_counter() - started
    figures: dict[str, float] = json_module.loads(child.stdout.splitlines()[-1])
    return {"start": total - figures["all"], **figures}


def in_pieces(photos: Path) -> dict[str, float]:
    """Fit a head and publish it, and return the seconds of each phase."""
    started = time.perf_counter()
    photographs = image_folder(photos)
    listed = time.perf_counter()
    head = fit_head(photographs)
    fitted = time.perf_counter()
    with tempfile.TemporaryDirectory() as repository:
        publish(head, photographs, Path(repository))
    ended = time.perf_counter()
    return {"list": listed - started, **head.seconds, "export": ended - fitted, "all": ended - started}


def publish(head: TrainedHead, photographs: Dataset, repository: Path) -> None:
    """Publish a head."""
    export_model(head.model, repository, name=NAME, labels=photographs.classes, trained_on=photographs.source)


def naively(photos: Path) -> dict[str, float]:
    """Compute features with Keras alone, and return the rate and the seconds."""
    import keras

    from keras_archs.training.networks import NetworkChoice, build_network

    started = time.perf_counter()
    model, preprocessing = build_network(NetworkChoice.pretrained("efficientnet-lite0"), 10)
    network = keras.Model(model.inputs, model.get_layer("predictions").input)
    files = keras.utils.image_dataset_from_directory(
        photos, labels=None, image_size=preprocessing.size, batch_size=32, shuffle=False, verbose=False
    )
    batches = files.map(lambda images: (images - preprocessing.mean) / preprocessing.std)
    batches = batches.take(NAIVE_IMAGES // 32).prefetch(2)
    before = time.perf_counter()
    count = len(network.predict(batches, verbose=0))
    ended = time.perf_counter()
    return {"photographs per second": count / (ended - before), "all": ended - started}


def accuracy_of(name: Any) -> dict[str, Any]:
    """Fit a head to handwritten digits, and measure it on images that nothing was chosen with."""
    digits = packaged(name)
    head = fit_head(digits)
    assert digits.test is not None
    features = features_of(digits.test, Backbone(head.model, head.preprocessing))
    right = digits.test.classes
    kernel, bias = head.model.get_layer("predictions").get_weights()
    logits = (features.values @ kernel + bias).astype(np.float64)
    untempered = logits * head.temperature
    return {
        "data": name,
        "train": len(digits.train.paths),
        "test": len(right),
        "top-1": float(np.mean(logits.argmax(axis=1) == right)),
        "strength": head.strength,
        "temperature": head.temperature,
        "loss before": cross_entropy(untempered, right),
        "loss after": cross_entropy(logits, right),
        "calibration error before": calibration_error(untempered, right),
        "calibration error after": calibration_error(logits, right),
        "fit": head.seconds["fit"],
    }


def calibration_error(logits: Any, right: Any, bins: int = 10) -> float:
    """Return the expected calibration error: mean difference of probability and share of right answers."""
    probabilities = np.exp(log_probabilities(logits))
    likeliest = probabilities.max(axis=1)
    place = np.minimum((likeliest * bins).astype(int), bins - 1)
    difference = (probabilities.argmax(axis=1) == right) - likeliest
    return float(sum(abs(difference[place == number].sum()) for number in range(bins)) / len(right))


def show_run(count: int, measured: dict[str, Any]) -> None:
    """Print the times of a number of photographs."""
    ways = ("gateway running", "gateway started too", "one more class")
    show(
        f"{count:,} photographs, seconds from keras-archs train to an answer",
        ("", "seconds"),
        [(way, f"{measured[way]:.1f}") for way in ways],
    )
    phases = measured["phases"]
    show("phases in a process of their own", ("", "seconds"), [(key, f"{value:.2f}") for key, value in phases.items()])
    naive = measured["naive"]["photographs per second"]
    print(
        f"features: {measured['photographs per second']:.0f} photographs/s, Keras' predict {naive:.0f}: "
        f"{measured['ratio to naive']:.1f} times as fast"
    )


def show_accuracy(rows: list[dict[str, Any]]) -> None:
    """Print the accuracy on real classes; the temperature changes loss and calibration error (ECE)."""
    show(
        "heads on handwritten digits",
        ("", "test images", "top-1", "C", "temperature", "loss", "ECE", "fit s"),
        [
            (
                row["data"],
                str(row["test"]),
                f"{row['top-1']:.3f}",
                f"{row['strength']:g}",
                f"{row['temperature']:.2f}",
                f"{row['loss before']:.3f} > {row['loss after']:.3f}",
                f"{row['calibration error before']:.3f} > {row['calibration error after']:.3f}",
                f"{row['fit']:.1f}",
            )
            for row in rows
        ],
    )


if __name__ == "__main__":
    typer.run(main)
