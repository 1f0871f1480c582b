"""Images that are nearer to another class than to their own in feature space: possible label errors."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keras_archs.training.data.dataset import SPLITS, Dataset, Split

NEAREST: Final = 5
"""Images of each class that an image is compared with; classes with fewer images besides it are left out."""
NEIGHBOURS: Final = 10
"""Neighbours, of any class, that the share of a suspect is of."""
MARGIN: Final = 0.75
"""A suspect is nearer to another class by this many times the margin by which the median image is nearer to its own."""
SHARE: Final = 0.9
"""An image is a suspect, too, if another class has this share of its neighbours: so it is found among equal errors."""
MAX_COMPARED: Final = 20_000
"""Most images that each image is compared with, so that time grows with the number of images alone."""

_SIMILARITIES_PER_BLOCK: Final = 1 << 23  # 32 MiB
_LEAST_DEVIATION: Final = 1e-6


@dataclass(frozen=True)
class Suspect:
    """An image that is nearer to images of another class than to those of its own: a possible label error."""

    path: str
    """Path, relative to the root of the data."""
    split: Split
    given: int
    """Class that the data says."""
    suggested: int
    """Class whose images are nearest in feature space."""
    share: float
    """Share of the 10 nearest images that have the suggested class, 0 to 1."""
    margin: float = 0.0
    """By how much more similar the images of the suggested class are, 0 to 2."""


def find_label_errors(
    data: Dataset, features: Mapping[Split, NDArray[np.float32]], unreadable: Collection[str] = ()
) -> tuple[Suspect, ...]:
    """Find images that are likely of another class than the data says.

    Features are standardised, and compared by the cosine of their angle. An image is as similar to a class as its 5
    nearest images in the class are on average, in whichever division. An image is a suspect if another class is more
    similar than its own, by at least three quarters of the margin by which the median image is more similar to its own
    class, or if 9 of its 10 nearest images have this other class. Of 2 % wrong labels that were planted among
    handwritten digits this finds about 90 %, and half of the suspects are wrong labels: look at each before you
    change it.

    Images of classes with fewer than 6 readable images are neither judged nor suggested. Beyond 20,000 images, each
    is compared with 20,000, evenly of all classes.

    Args:
        data: The data set.
        features: Features of a network, [N, D], for the images of each division; a division may be missing.
        unreadable: Paths of images that could not be read, whose features say nothing.

    Returns:
        The suspects, those first that are most similar to another class.

    Raises:
        ValueError: The number of features is not that of the images.
    """
    skipped = frozenset(unreadable)
    paths: list[str] = []
    splits: list[Split] = []
    values, classes = [], []
    for split in SPLITS:
        images = data.split(split)
        if images is None or split not in features:
            continue
        if len(features[split]) != len(images.paths):
            raise ValueError(f"{len(images.paths)} {split} images have {len(features[split])} features")
        readable = np.array([place for place, path in enumerate(images.paths) if path not in skipped], np.intp)
        paths.extend(images.paths[place] for place in readable.tolist())
        splits.extend([split] * len(readable))
        values.append(features[split][readable])
        classes.append(images.classes[readable])
    if not paths:
        return ()
    space = _Space(np.concatenate(values), np.concatenate(classes))
    return tuple(
        Suspect(paths[place], splits[place], int(space.classes[place]), suggested, share, margin)
        for place, suggested, share, margin in space.suspects()
    )


class _Space:
    """Directions of images in feature space, and the images that they are compared with."""

    def __init__(self, features: NDArray[np.float32], classes: NDArray[np.int32]) -> None:
        self.classes = classes
        mean, deviation = features.mean(axis=0), features.std(axis=0)
        standardised = (features - mean) / np.where(deviation > _LEAST_DEVIATION, deviation, 1)
        norms = np.linalg.norm(standardised, axis=1, keepdims=True)
        self._directions = standardised / np.maximum(norms, _LEAST_DEVIATION)
        known, counts = np.unique(classes, return_counts=True)
        self._known = known[counts > NEAREST]
        # the compared images lie class by class
        quota = max(NEAREST + 1, MAX_COMPARED // max(1, len(self._known)))
        members = [_evenly(np.flatnonzero(classes == index), quota) for index in self._known]
        self._compared = np.concatenate([*members, np.zeros(0, np.intp)])
        self._bounds = np.cumsum([0, *map(len, members)])

    def suspects(self) -> list[tuple[int, int, float, float]]:
        """Return position, suggested class, share of the neighbours and margin of each suspect."""
        judged = np.flatnonzero(np.isin(self.classes, self._known))
        if len(self._known) < 2:
            return []
        margins = np.zeros(len(judged), np.float32)
        suggested = np.zeros(len(judged), np.int32)
        shares = np.zeros(len(judged))
        step = max(1, _SIMILARITIES_PER_BLOCK // len(self._compared))
        for start in range(0, len(judged), step):
            block = slice(start, start + step)
            margins[block], suggested[block], shares[block] = self._judge(judged[block])
        found = np.flatnonzero((margins > MARGIN * np.median(np.abs(margins))) | (shares >= SHARE))
        found = found[np.argsort(-margins[found], kind="stable")]
        columns = judged[found], suggested[found], shares[found], margins[found]
        return list(zip(*(column.tolist() for column in columns), strict=True))

    def _similarities(self, images: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return the similarity of images to the compared images; -2, below all others, to themselves."""
        similarities: NDArray[np.float32] = self._directions[images] @ self._directions[self._compared].T
        similarities[images[:, np.newaxis] == self._compared] = -2
        return similarities

    def _judge(self, images: NDArray[np.intp]) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.float64]]:
        """Return by how much the nearest other class is more similar than the own, this class, and its share."""
        similarities = self._similarities(images)
        of_class = np.stack(
            [
                np.partition(similarities[:, start:end], -NEAREST, axis=1)[:, -NEAREST:].mean(axis=1)
                for start, end in pairwise(self._bounds.tolist())
            ],
            axis=1,
        )
        rows = np.arange(len(images))
        own = np.searchsorted(self._known, self.classes[images])
        of_own = of_class[rows, own]
        of_class[rows, own] = -np.inf
        other = of_class.argmax(axis=1)
        suggested = self._known[other]
        neighbours = self._compared[np.argpartition(similarities, -NEIGHBOURS, axis=1)[:, -NEIGHBOURS:]]
        share = (self.classes[neighbours] == suggested[:, np.newaxis]).mean(axis=1)
        return of_class[rows, other] - of_own, suggested, share


def _evenly(members: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """Return at most this many members, evenly over all of them."""
    if len(members) <= most:
        return members
    return members[np.linspace(0, len(members) - 1, most).astype(np.intp)]
