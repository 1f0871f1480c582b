"""Faults of the data: near-duplicates, possible label errors, small classes, unreadable files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keras_archs.training.data.dataset import Dataset, Split
from keras_archs.training.data.duplicates import Duplicate, find_duplicates
from keras_archs.training.data.label_errors import Suspect, find_label_errors

__all__ = ["DataFaults", "Duplicate", "Suspect", "find_faults"]

FEW_IMAGES: Final = 10
"""A class with fewer training images is small."""
FEW_OF_MEDIAN: Final = 0.1
"""A class with fewer training images than this share of the median class's is small, too."""


@dataclass(frozen=True)
class DataFaults:
    """What is wrong with the data, worst first."""

    duplicates: tuple[Duplicate, ...] = ()
    suspects: tuple[Suspect, ...] = ()
    small_classes: Mapping[str, int] = field(default_factory=dict)
    """Number of training images of each class that has few, by name."""
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Why an image cannot be read, by its path."""
    empty_classes: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    """Paths that a table has several times with the same label, which count once."""


def find_faults(
    data: Dataset,
    features: Mapping[Split, NDArray[np.float32]] | None = None,
    *,
    threads: int | None = None,
    on_progress: Callable[[int], None] = lambda done: None,
) -> DataFaults:
    """Find what is wrong with the data.

    Each image is read once. A class is small if it has fewer than 10 readable training images, or fewer than a tenth of
    the median class's. See `find_duplicates` and `find_label_errors` for their rules.

    Args:
        data: The data set.
        features: Features of a network, [N, D], for the images of each division; a division may be missing. Without
            features, label errors are not sought.
        threads: Threads that decode; None for one per core that the process may use.
        on_progress: Called from time to time with the number of images that were read.

    Raises:
        ModuleNotFoundError: ImageHash is not installed.
        ValueError: The number of features is not that of the images.
    """
    duplicates, unreadable = find_duplicates(data, threads=threads, on_progress=on_progress)
    return DataFaults(
        duplicates=duplicates,
        suspects=find_label_errors(data, features or {}, unreadable),
        small_classes=_small_classes(data, unreadable),
        unreadable=unreadable,
        empty_classes=tuple(data.empty),
        ignored=tuple(data.ignored),
        repeated=tuple(data.repeated),
    )


def _small_classes(data: Dataset, unreadable: Mapping[str, str]) -> dict[str, int]:
    readable = np.array([path not in unreadable for path in data.train.paths])
    counts = np.bincount(data.train.classes[readable], minlength=len(data.classes))
    least = max(FEW_IMAGES, FEW_OF_MEDIAN * float(np.median(counts)))
    order = np.argsort(counts, kind="stable")
    return {data.classes[index]: int(counts[index]) for index in order.tolist() if counts[index] < least}
