"""A random part of an image, mirrored or not, at the size of a network's input."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keras_archs.images.box import Box
from keras_archs.images.decoding import load_crop, load_image
from keras_archs.images.preprocessing import Preprocessing
from keras_archs.training.data.augmentation import Augmentation

MOST_KEPT: Final = 256 * 1024**2
"""Largest number of bytes of decoded images that are kept."""

_LARGEST_STRETCH: Final = 4 / 3
_ATTEMPTS: Final = 10
_PADDING: Final = 8  # 4 of the 32 pixels of CIFAR


class RandomCrops:
    """Random parts of images, mirrored or not."""

    def __init__(self, preprocessing: Preprocessing, augmentation: Augmentation, images: int) -> None:
        """Prepare the crops.

        Args:
            preprocessing: Size, channels and interpolation.
            augmentation: How the part is chosen, and whether every second image is mirrored.
            images: Number of images. If their pixels take at most `MOST_KEPT` bytes, and each part is made from the
                same pixels, the pixels are kept, so that each image is decoded once.
        """
        self._preprocessing = preprocessing
        self._augmentation = augmentation
        height, width = preprocessing.size
        self._keeps = augmentation.crop != "resized" and images * height * width * preprocessing.channels <= MOST_KEPT
        self._kept: dict[Path, NDArray[np.uint8]] = {}

    def load(self, path: Path, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Return a random part of an image, mirrored or not.

        Args:
            path: Path of the image.
            rng: Source of the random numbers.

        Returns:
            Pixels of shape (height, width, channels), 0 to 255.

        Raises:
            ImageError: If the image cannot be decoded.
            OSError: If the path cannot be read.
        """
        mirrored = self._augmentation.flip and rng.random() < 0.5
        if self._augmentation.crop == "resized":
            pixels = self._load_part(path, rng)
        else:
            pixels = self._load_whole(path)
            if self._augmentation.crop == "padded":
                pixels = _shift(pixels, rng)
        return pixels[:, ::-1] if mirrored else pixels

    def _load_part(self, path: Path, rng: np.random.Generator) -> NDArray[np.uint8]:
        ratio = self._preprocessing.size[1] / self._preprocessing.size[0]
        return load_crop(
            path,
            self._preprocessing,
            lambda width, height: random_box(width / height / ratio, self._augmentation.min_area, rng),
        )

    def _load_whole(self, path: Path) -> NDArray[np.uint8]:
        pixels = self._kept.get(path)
        if pixels is None:
            pixels = load_image(path, self._preprocessing)
            if self._keeps:
                self._kept[path] = pixels
        return pixels


def random_box(stretch: float, min_area: float, rng: np.random.Generator) -> Box:
    """Choose a box of random area and aspect ratio at a random place (Szegedy et al. 2014, section 6).

    Args:
        stretch: Aspect ratio of the image, divided by that of the input.
        min_area: Least share of the image in the box, above 0, at most 1.
        rng: Source of the random numbers.

    Returns:
        A box that the input stretches by at most 4/3 in one direction; if no such box of at least the area was found in
        ten attempts, the largest such box in the centre.
    """
    logarithm = np.log(_LARGEST_STRETCH)
    for _ in range(_ATTEMPTS):
        area = rng.uniform(min_area, 1)
        aspect = np.exp(rng.uniform(-logarithm, logarithm)) / stretch
        width, height = np.sqrt(area * aspect), np.sqrt(area / aspect)
        if width <= 1 and height <= 1:
            left, top = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
            return Box(left, top, min(left + width, 1.0), min(top + height, 1.0))
    aspect = np.clip(stretch, 1 / _LARGEST_STRETCH, _LARGEST_STRETCH) / stretch
    width, height = min(1.0, aspect), min(1.0, 1 / aspect)
    return Box((1 - width) / 2, (1 - height) / 2, (1 + width) / 2, (1 + height) / 2)


def _shift(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Shift the image by up to an eighth of its sides; black pixels come in at the border."""
    height, width, channels = pixels.shape
    down, across = -(-height // _PADDING), -(-width // _PADDING)
    padded = np.zeros((height + 2 * down, width + 2 * across, channels), np.uint8)
    padded[down : down + height, across : across + width] = pixels
    top, left = rng.integers(0, 2 * down, endpoint=True), rng.integers(0, 2 * across, endpoint=True)
    return padded[top : top + height, left : left + width]
