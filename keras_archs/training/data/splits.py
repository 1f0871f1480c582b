"""Division of images into training, validation and test images: by name, or by drawing."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keras_archs.training.data.dataset import Split

NAMES: Final[Mapping[str, Split]] = MappingProxyType(
    {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
)
"""Names of divisions in folders and tables, in lower case."""


def draw(
    paths: Sequence[str], classes: NDArray[np.int32], share: float, *, among: NDArray[np.int32], seed: int
) -> NDArray[np.bool_]:
    """Draw a share of the images of each class.

    The images with the smallest digests of seed and path are drawn. So a class keeps its division when another class
    is added, and an image that is added to a class moves at most one of the other images.

    Args:
        paths: Path of each of N images.
        classes: Class of each image, [N].
        share: Share of each class, above 0 and below 1; at least 1 image and at most all but 1 are drawn.
        among: Classes of which images are drawn.
        seed: Any whole number; another one draws other images.

    Returns:
        Whether an image was drawn, [N].
    """
    chosen = np.flatnonzero(np.isin(classes, among))
    of_class = classes[chosen]
    order = np.lexsort((_digests([paths[place] for place in chosen.tolist()], seed), of_class))
    counts = np.bincount(of_class, minlength=0)
    quotas = np.minimum(np.maximum(np.floor(share * counts + 0.5).astype(np.int64), 1), counts - 1)
    starts = np.cumsum(counts) - counts
    sorted_classes = of_class[order]
    rank = np.arange(len(order)) - starts[sorted_classes]
    drawn = np.zeros(len(paths), np.bool_)
    drawn[chosen[order[rank < quotas[sorted_classes]]]] = True
    return drawn


def _digests(paths: Sequence[str], seed: int) -> NDArray[np.uint64]:
    start = hashlib.blake2b(f"{seed}\0".encode(), digest_size=8)
    content = bytearray()
    for path in paths:
        digest = start.copy()
        # names of files need not be UTF-8; a path means the same on each system
        digest.update(path.replace(os.sep, "/").encode("utf-8", "surrogatepass"))
        content += digest.digest()
    return np.frombuffer(content, np.uint64)
