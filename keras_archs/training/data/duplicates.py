"""Images that look alike in two divisions or in two classes: by perceptual hash, and by their reduced pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations, count
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keras_archs.runtimes.machine import usable_cores
from keras_archs.training.data.dataset import SPLITS, Dataset, Split
from keras_archs.training.data.reduced_pictures import SIDE, ReducedPictures

MAX_DISTANCE: Final = 8
"""Most bits in which the hashes of two images that look alike differ."""
MIN_CORRELATION: Final = 0.9
"""Least correlation of the reduced pictures of two images that look alike."""
MIN_CORRELATION_PLAIN: Final = 0.995
"""The same for plain images: thousands of different digits correlate by more than 0.9."""

_BYTES: Final = 8
_POSITIONS: Final = 1 << 32
_NONE: Final = np.iinfo(np.int64).max
_PICTURES_PER_BLOCK: Final = 1 << 13


@dataclass(frozen=True)
class Duplicate:
    """Two images that look alike, of which at least one is no training image or whose classes differ."""

    first: str
    """Path of the first image, relative to the root of the data."""
    first_split: Split
    second: str
    second_split: Split
    distance: int
    """Different bits of the two perceptual hashes, 0 to 64."""
    same_class: bool
    mirrored: bool = False
    """Whether one image looks like the mirror image of the other."""


def find_duplicates(
    data: Dataset, *, threads: int | None = None, on_progress: Callable[[int], None] = lambda done: None
) -> tuple[tuple[Duplicate, ...], dict[str, str]]:
    """Find images that look alike in two divisions or in two classes.

    Two images look alike if their perceptual hashes (ImageHash's `phash`, 64 bits) differ in at most 8 bits and their
    pictures, reduced to 16 x 16 grey pixels, correlate by at least 0.9; by 0.995 for images with a side of fewer than
    64 pixels, or of which more than half is of one shade, such as digits. This finds copies of another size, aspect
    ratio, quality, brightness or contrast, and mirror images where the data may be mirrored; crops only if little
    was cut off.

    Each image is named with the image of another division or class that is most alike, one of another class first.
    Images of one class in one division are not compared. Pairs are sought among images whose hashes share 2 of their
    8 bytes, so that a million images take minutes: of the pairs that differ in 8 bits, that misses 7 %; of the others,
    none. Memory is about 400 bytes per image.

    Args:
        data: The data set.
        threads: Threads that decode; None for one per core that the process may use.
        on_progress: Called from time to time with the number of images so far.

    Returns:
        The pairs, those of two classes first and the most alike first; and why an image cannot be read, by its path.

    Raises:
        ModuleNotFoundError: ImageHash is not installed.
    """
    parts = [(split, images) for split in SPLITS if (images := data.split(split))]
    paths = [path for _, images in parts for path in images.paths]
    splits = [split for split, images in parts for _ in images.paths]
    classes = np.concatenate([images.classes for _, images in parts])
    pictures = ReducedPictures(data.train.root, paths, mirrored=data.may_flip)
    pictures.read(threads or usable_cores(), on_progress)
    of_split = np.array([SPLITS.index(split) for split in splits], np.int32)
    pairs = _Search(pictures, of_split, classes).run()
    duplicates = [
        Duplicate(
            paths[first], splits[first], paths[second], splits[second], distance, same_class=same, mirrored=mirrored
        )
        for (first, second), (same, distance, mirrored) in pairs.items()
    ]
    duplicates.sort(key=lambda pair: (pair.same_class, pair.distance, pair.first, pair.second))
    return tuple(duplicates), pictures.unreadable


class _Search:
    """The partner of each image that is most alike."""

    def __init__(self, pictures: ReducedPictures, splits: NDArray[np.int32], classes: NDArray[np.int32]) -> None:
        self._splits = splits
        self._classes = classes
        self._is_plain = pictures.is_plain
        self._pixels = pictures.pixels
        flat = pictures.pixels.reshape(-1, SIDE * SIDE)
        self._means = flat.mean(axis=1, dtype=np.float32)
        self._norms = SIDE * flat.std(axis=1, dtype=np.float32)
        self._read = np.flatnonzero(pictures.is_read)
        # Equal pictures of one class and division are sought once: data sets from the web have many placeholders.
        groups = np.column_stack([flat, splits.view(np.uint8).reshape(-1, 4), classes.view(np.uint8).reshape(-1, 4)])
        rows = groups[self._read].view(np.dtype((np.void, groups.shape[1])))[:, 0]
        _, places, self._group = np.unique(rows, return_index=True, return_inverse=True)
        self._sought = self._read[places]
        entries = [pictures.hashes[self._sought]]
        if pictures.mirror_hashes is not None:
            entries.append(pictures.mirror_hashes[self._sought])
        self._hashes = np.concatenate(entries)
        self._image = np.tile(self._sought, len(entries))
        self._is_mirrored = np.repeat(np.arange(len(entries)) > 0, len(self._sought))
        # a number per image, the smallest is the best: other class, distance, not mirrored, position of the partner
        self._best = np.full(len(flat), _NONE, np.int64)

    def run(self) -> dict[tuple[int, int], tuple[bool, int, bool]]:
        """Return pairs of positions: whether of one class, different bits, and whether one image is mirrored."""
        for first, second in combinations(range(_BYTES), 2):
            self._compare(first, second)
        best = self._best[self._sought[self._group]]
        pairs = {}
        for position, code in zip(self._read[best != _NONE].tolist(), best[best != _NONE].tolist(), strict=True):
            likeness, partner = divmod(code, _POSITIONS)
            pair = min(position, partner), max(position, partner)
            pairs[pair] = bool(likeness // 128), likeness % 128 // 2, bool(likeness % 2)
        return pairs

    def _compare(self, *places: int) -> None:
        """Compare all images that have the same value in two bytes of their hashes."""
        values = self._hashes.view(np.uint8).reshape(-1, _BYTES)[:, places].copy().view(np.uint16)[:, 0]
        order = np.argsort(values, kind="stable")
        values = values[order]
        start = np.arange(len(order))
        for step in count(1):
            start = start[: np.searchsorted(start, len(order) - step)]
            start = start[values[start] == values[start + step]]
            if not len(start):
                return
            self._collect(order[start], order[start + step], *places)

    def _collect(self, first: NDArray[np.intp], second: NDArray[np.intp], *places: int) -> None:
        """Keep the pairs that matter and whose reduced pictures correlate."""
        differences = self._hashes[first] ^ self._hashes[second]
        near = np.bitwise_count(differences) <= MAX_DISTANCE
        first, second, differences = first[near], second[near], differences[near]
        shared = differences.view(np.uint8).reshape(-1, _BYTES) == 0
        new = shared[:, : places[1]].sum(axis=1) == 1  # a pair may share more than two bytes
        one, other = self._image[first], self._image[second]
        matters = new & (one != other) & ~(self._is_mirrored[first] & self._is_mirrored[second])
        matters &= (self._splits[one] != self._splits[other]) | (self._classes[one] != self._classes[other])
        mirrored = self._is_mirrored[first] | self._is_mirrored[second]
        for block in _blocks(np.flatnonzero(matters)):
            self._confirm(one[block], other[block], np.bitwise_count(differences[block]), mirrored[block])

    def _confirm(
        self,
        first: NDArray[np.intp],
        second: NDArray[np.intp],
        distance: NDArray[np.uint8],
        mirrored: NDArray[np.bool_],
    ) -> None:
        plain = self._is_plain[first] | self._is_plain[second]
        least = np.where(plain, MIN_CORRELATION_PLAIN, MIN_CORRELATION)
        good = self._correlations(first, second, mirrored) >= least
        first, second = first[good], second[good]
        same_class = self._classes[first] == self._classes[second]
        likeness = 128 * same_class + 2 * distance[good].astype(np.int64) + mirrored[good]
        np.minimum.at(self._best, first, likeness * _POSITIONS + second)
        np.minimum.at(self._best, second, likeness * _POSITIONS + first)

    def _correlations(
        self, first: NDArray[np.intp], second: NDArray[np.intp], mirrored: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        one, other = self._pixels[first], self._pixels[second]
        other = np.where(mirrored[:, np.newaxis, np.newaxis], other[:, :, ::-1], other)
        deviations = [
            pixels - self._means[places, np.newaxis, np.newaxis] for pixels, places in ((one, first), (other, second))
        ]
        products = np.einsum("nhw,nhw->n", *deviations)
        norms = self._norms[first] * self._norms[second]
        equal = (one == other).all(axis=(1, 2))  # without this, images of one shade would not be alike
        return np.where(equal, np.float32(1), products / np.maximum(norms, np.float32(1e-6)))


def _blocks(places: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    for start in range(0, len(places), _PICTURES_PER_BLOCK):
        yield places[start : start + _PICTURES_PER_BLOCK]
