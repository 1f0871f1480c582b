"""The pictures that a quantization reads: some calibrate, others measure, and no picture does both."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keras_archs.batch.sources.files import files_in_folder
from keras_archs.images.decoding import load_image
from keras_archs.images.errors import ImageError
from keras_archs.images.preprocessing import Preprocessing
from keras_archs.quantization.parallel import results_of
from keras_archs.training.data.labelled_images import LabelledImages

MIN_CALIBRATION: Final = 100
"""Fewest pictures that calibrate."""
MAX_CALIBRATION: Final = 300
"""Most pictures that calibrate: more change the ranges of the activations hardly any more."""
MIN_AGREEMENT: Final = 100
"""Fewest pictures on which int8 and float32 are compared."""
MAX_PICTURES: Final = 1000
"""Most pictures of the folder that are read; they are in memory at the same time."""
MAX_CONTROL: Final = 1000
"""Most labelled pictures that decide which layers stay in float32."""


@dataclass(frozen=True)
class Pictures:
    """Distinct pictures of a folder, in the size of a network's input.

    Attributes:
        calibration: Pictures to calibrate with, uint8 [N, H, W, C].
        agreement: Pictures to compare answers on, uint8 [M, H, W, C].
        calibration_digests: SHA-256 of the file of each picture in `calibration`.
        repeated: How many files have the same content as another that was read.
        unreadable: Files that could not be read as an image.
    """

    calibration: NDArray[np.uint8]
    agreement: NDArray[np.uint8]
    calibration_digests: frozenset[str]
    repeated: int
    unreadable: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the calibration pictures' checksums, in order: the same for the same files."""
        return hashlib.sha256("\n".join(sorted(self.calibration_digests)).encode()).hexdigest()


@dataclass(frozen=True)
class LabelledPictures:
    """Labelled pictures that do not calibrate, and two parts of them without a picture in common.

    Attributes:
        images: All pictures.
        control: Pictures that decide which layers stay in float32, if int8 loses too much on all pictures.
        report: Pictures on which the accuracy is measured then.
        left_out: How many pictures were left out, because they calibrate or are repeated.
        unreadable: Files that could not be read as an image.
    """

    images: LabelledImages
    control: LabelledImages
    report: LabelledImages
    left_out: int
    unreadable: tuple[str, ...]


def read_pictures(folder: Path, preprocessing: Preprocessing) -> Pictures:
    """Read the pictures of a folder and of the folders inside, and divide them.

    The order is that of a hash of the paths, so that the pictures of a large folder, and both parts, come from
    everywhere in it.

    Args:
        folder: Folder with pictures.
        preprocessing: Steps from an image file to the network's input.

    Raises:
        ValueError: There are too few distinct pictures; the message says how many are needed.
        OSError: The folder cannot be read.
    """
    if not folder.is_dir():
        kind = "a file" if folder.exists() else "no folder"
        raise ValueError(f"the pictures to calibrate with are in a folder; {folder} is {kind}")
    paths = sorted(files_in_folder(str(folder)), key=lambda path: _hash(os.path.relpath(path, folder)))[:MAX_PICTURES]
    read = results_of(lambda path: _read(path, preprocessing), paths)
    distinct: dict[str, NDArray[np.uint8]] = {}
    for found in read:
        if found is not None:
            distinct.setdefault(*found)
    digests = list(distinct)
    needed = MIN_CALIBRATION + MIN_AGREEMENT
    unreadable = tuple(path for path, found in zip(paths, read, strict=True) if found is None)
    if len(digests) < needed:
        raise ValueError(
            f"{folder} has {len(digests):,} distinct pictures that can be read ({len(unreadable):,} cannot); "
            f"needed are {needed} of the kind that the network will see: {MIN_CALIBRATION} to calibrate with, and "
            f"{MIN_AGREEMENT} others to compare int8 with float32"
        )
    calibrating = min(MAX_CALIBRATION, len(digests) - MIN_AGREEMENT)
    pixels = np.stack(list(distinct.values()))
    return Pictures(
        calibration=pixels[:calibrating],
        agreement=pixels[calibrating:],
        calibration_digests=frozenset(digests[:calibrating]),
        repeated=len(paths) - len(unreadable) - len(digests),
        unreadable=unreadable,
    )


def divide(
    images: LabelledImages, calibration_digests: frozenset[str], preprocessing: Preprocessing, max_drop: float
) -> LabelledPictures:
    """Divide labelled pictures, without those that calibrate or cannot be read, into two parts.

    Args:
        images: Images and their classes.
        calibration_digests: SHA-256 of the files that calibrate.
        preprocessing: Steps from an image file to the network's input.
        max_drop: Accuracy that may be lost, in percentage points, above 0.

    Raises:
        ValueError: There are too few pictures to notice a loss of `max_drop`; the message says how many are needed.
    """

    def digest_of(path: str) -> str | None:
        found = _read(images.root / path, preprocessing)  # the pixels of all pictures would be too much memory
        return found and found[0]

    digests = results_of(digest_of, images.paths)
    unreadable = tuple(
        str(images.root / path) for path, digest in zip(images.paths, digests, strict=True) if digest is None
    )
    first = {digest: position for position, digest in reversed(list(enumerate(digests))) if digest is not None}
    kept = np.array([first[digest] for digest in sorted(first.keys() - calibration_digests)], np.intp)
    needed = 2 * int(np.ceil(100 / max_drop))
    if len(kept) < needed:
        raise ValueError(
            f"there are {len(kept):,} distinct labelled pictures that can be read and do not calibrate "
            f"({len(unreadable):,} cannot be read); needed are {needed:,}, so that in each half one picture is at most "
            f"the allowed drop of {max_drop:g} points"
        )
    control = min(MAX_CONTROL, len(kept) // 2)
    return LabelledPictures(
        images=images.take(kept),
        control=images.take(kept[:control]),
        report=images.take(kept[control:]),
        left_out=len(images.paths) - len(unreadable) - len(kept),
        unreadable=unreadable,
    )


def load_all(images: LabelledImages, preprocessing: Preprocessing) -> Sequence[NDArray[np.uint8]]:
    """Return the pixels of all images, each uint8 [H, W, C].

    Raises:
        ImageError: An image is damaged.
        OSError: An image cannot be read.
    """
    return results_of(lambda path: load_image(images.root / path, preprocessing), images.paths)


def _read(path: str | Path, preprocessing: Preprocessing) -> tuple[str, NDArray[np.uint8]] | None:
    """Return the SHA-256 of a file and its pixels; None if it cannot be read as an image."""
    try:
        content = Path(path).read_bytes()
        return hashlib.sha256(content).hexdigest(), load_image(content, preprocessing)
    except (ImageError, OSError):
        return None


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()
