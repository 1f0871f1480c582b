"""A network that answers by an image's shade of grey, and images of such shades with their classes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from keras_archs.images.labels import Label
from keras_archs.images.preprocessing import Preprocessing
from keras_archs.repository.artifact_card import ArtifactCard, Weights
from keras_archs.runtimes.runtime import Arithmetic, Explain
from keras_archs.training.data.labelled_images import LabelledImages

NAMES = ("cat", "dog", "owl", "fox", "hen", "ape", "eel")
CARD = ArtifactCard(
    name="shades",
    preprocessing=Preprocessing(size=(8, 8), mean=(0, 0, 0), std=(1, 1, 1)),
    labels=tuple(map(Label, NAMES)),
    weights=Weights(trained=True, source="the test"),
    architecture=None,
    created="2026-01-01T00:00:00+00:00",
    producer={},
    checksums={},
)


@dataclass
class Shades:
    """A session that answers images of one shade of grey with the row of a table."""

    table: NDArray[np.float32]
    max_batch: int = 1
    memory: int = 0
    explainer_memory: int = 0
    arithmetic: Arithmetic = "f32"
    explainer_arithmetic: Arithmetic = "f32"
    tolerance: float = 0
    explainer_tolerance: float = 0
    remedy: str = ""
    threads: set[str] = field(default_factory=set)

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        assert 1 <= len(images) <= self.max_batch
        self.threads.add(threading.current_thread().name)
        return self.table[images[:, 0, 0, 0]]

    def explainer(self) -> Explain:
        raise NotImplementedError


def likeliest(*order: int) -> list[float]:
    """Return probabilities under which these classes are the likeliest, in this order, and all others equal."""
    scores = np.zeros(len(NAMES))
    scores[list(order)] = np.arange(len(order), 0, -1)
    return list(np.exp(scores) / np.exp(scores).sum())


def paint(folder: Path, shades: Sequence[int | None], classes: Sequence[int]) -> LabelledImages:
    """Write an image per shade, or a file that is no image for None."""
    for number, shade in enumerate(shades):
        path = folder / f"{number}.png"
        if shade is None:
            path.write_bytes(b"\x89PNG\r\n\x1a\n")
        else:
            Image.new("RGB", (8, 8), (shade,) * 3).save(path)
    return LabelledImages(folder, [f"{number}.png" for number in range(len(shades))], np.array(classes, np.int32))


TABLE = np.array([likeliest(0, 1, 2, 3, 4, 5), likeliest(1, 0), likeliest(2), likeliest()], np.float32)
