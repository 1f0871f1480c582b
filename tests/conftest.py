"""Fixtures that several parts share: photographs, and repositories with real and with tiny models."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import psutil
import pytest
from skimage import data

from keras_archs.runtimes.heap import give_back_memory
from tests.support.images import encode

# What needs an environment of its own: the references and the other backends (`make parity`, `make backends`), and
# TensorFlow Serving's runtime, which is an older TensorFlow (`make tf220`).
collect_ignore = [
    *([] if find_spec("timm") else ["parity", "backends"]),
    *([] if "TF220_PYTHON" in os.environ else ["tf220"]),
]

os.environ.setdefault("KERAS_ARCHS_OFFLINE", "1")  # a test that needs a download serves the file itself
os.environ.setdefault("KERAS_ARCHS_PRECISION", "f32")  # so that gateways give the same numbers on every processor

PHOTOGRAPHS = ("coffee", "chelsea", "camera")

PROCESS = psutil.Process()
GROWTH = 100e6  # bytes of memory


@pytest.fixture(autouse=True)
def memory_goes_back() -> Iterator[None]:
    """Lets go of networks after a test that took much memory, so that two workers fit into an ordinary machine.

    Networks refer to themselves, and Python's collector, which counts objects and not bytes, lets gigabytes of them
    wait. Then the C library would keep the memory.
    """
    before = PROCESS.memory_info().rss
    yield
    if PROCESS.memory_info().rss > before + GROWTH:
        gc.collect()
        give_back_memory()


@pytest.fixture(scope="session")
def photographs() -> dict[str, bytes]:
    """Real photographs as JPEG: an espresso, a cat, and a photographer with a tripod (greyscale)."""
    return {name: encode(getattr(data, name)()) for name in PHOTOGRAPHS}


@pytest.fixture(scope="session")
def lite0_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with efficientnet-lite0 and its ImageNet weights as version 1. Shared: do not change it."""
    import keras_archs

    repository = tmp_path_factory.mktemp("lite0") / "models"
    model = keras_archs.create_model("efficientnet-lite0", weights="imagenet")
    keras_archs.export_model(model, repository, name="efficientnet-lite0")
    return repository


@pytest.fixture(scope="session")
def constant_classifier(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path, int], Path]:
    """Publishes `tiny` into a repository: three classes, of which version N always finds class N % 3 the likeliest."""
    import keras

    import keras_archs

    made = tmp_path_factory.mktemp("tiny") / "models"
    preprocessing = keras_archs.Preprocessing(size=(32, 32), mean=(0, 0, 0), std=(255, 255, 255))

    def export(version: int) -> Path:
        inputs = keras.Input((32, 32, 3))
        pooled = keras.layers.GlobalAveragePooling2D()(inputs)
        head = keras.layers.Dense(3, activation="softmax", kernel_initializer="zeros")
        model = keras.Model(inputs, head(pooled))
        head.bias.assign(5 * np.eye(3)[version % 3])
        return keras_archs.export_model(
            model,
            made,
            name="tiny",
            version=version,
            preprocessing=preprocessing,
            labels=["zero", "one", "two"],
            trained_on="nothing: its answer is built in",
        ).path

    def publish(repository: Path, version: int) -> Path:
        source = made / "tiny" / str(version)
        if not source.exists():
            export(version)
        target = repository / "tiny" / str(version)
        target.parent.mkdir(parents=True, exist_ok=True)
        incoming = target.with_name(f".incoming-{version}")
        shutil.copytree(source, incoming)
        incoming.rename(target)
        return target

    return publish
