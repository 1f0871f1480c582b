"""Photographs and digits with known classes, and a small network."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage import data as pictures
from sklearn.datasets import load_digits

from keras_archs.training.data.dataset import Dataset
from keras_archs.training.data.labelled_images import LabelledImages
from keras_archs.training.networks import NetworkChoice

SMALL = NetworkChoice("mobilenet-0.25-128", None, 32)
"""A network of the registry with initial values."""

CLASSES = ("coffee", "chelsea", "astronaut", "digit")


def _crops(name: str, count: int) -> list[NDArray[np.uint8]]:
    if name == "digit":
        return [(15 * image).astype(np.uint8) for image in load_digits().images[:count]]
    picture, generator = getattr(pictures, name)(), np.random.default_rng(0)
    height, width = picture.shape[:2]
    corners = [(generator.integers(height - 120), generator.integers(width - 150)) for _ in range(count)]
    return [picture[top : top + 120, left : left + 150] for top, left in corners]


@pytest.fixture(scope="session")
def pictures_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Dataset]:
    """Returns a function that writes crops of photographs, and handwritten digits, as a data set."""

    def write(train: int = 12, validation: int = 6, classes: tuple[str, ...] = CLASSES) -> Dataset:
        folder = tmp_path_factory.mktemp("pictures")
        parts: dict[str, tuple[list[str], list[int]]] = {"train": ([], []), "validation": ([], [])}
        for index, name in enumerate(classes):
            for number, crop in enumerate(_crops(name, train + validation)):
                path = f"{name}-{number}.png"
                Image.fromarray(crop).save(folder / path)
                paths, right = parts["train" if number < train else "validation"]
                paths.append(path)
                right.append(index)
        images = {
            key: LabelledImages(folder, paths, np.array(right, np.int32)) for key, (paths, right) in parts.items()
        }
        return Dataset(str(folder), classes, images["train"], images["validation"])

    return write
