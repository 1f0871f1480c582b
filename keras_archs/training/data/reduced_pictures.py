"""Images reduced to a perceptual hash and a few grey pixels each, read in parallel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from keras_archs.analysis.extras import import_extra
from keras_archs.images.box import Box
from keras_archs.images.decoding import load_crop
from keras_archs.images.errors import ImageError
from keras_archs.images.preprocessing import Preprocessing
from keras_archs.training.data.unreadable import why_unreadable

SIDE: Final = 16
"""Height and width of a reduced picture, in pixels."""

_SMALL: Final = 64  # an image with a side of fewer pixels is plain
_SHADE: Final = 4  # grey levels around the median that count as one shade
_PLAIN_SHARE: Final = 0.5  # an image of which more is of one shade is plain

_HASHED: Final = Preprocessing(size=(32, 32), mean=(0.0,), std=(1.0,))  # the size that ImageHash's phash asks for
_WHOLE: Final = Box(0, 0, 1, 1)
_IMAGES_PER_TASK: Final = 64


class ReducedPictures:
    """N images, each with its hash, its reduced picture, and whether it is plain."""

    def __init__(self, root: Path, paths: Sequence[str], *, mirrored: bool) -> None:
        """Prepare the arrays; `read` fills them.

        Args:
            root: Folder that the paths are relative to.
            paths: Paths of the images.
            mirrored: Whether the mirror images are hashed, too.
        """
        self._root = root
        self._paths = paths
        self._phash = import_extra("imagehash", "train").phash
        count = len(paths)
        self.hashes = np.zeros(count, np.uint64)
        """Perceptual hashes, [N]."""
        self.mirror_hashes = np.zeros(count, np.uint64) if mirrored else None
        """Perceptual hashes of the mirror images, [N]."""
        self.pixels = np.zeros((count, SIDE, SIDE), np.uint8)
        """Reduced pictures, grey."""
        self.is_plain = np.zeros(count, np.bool_)
        """Whether an image is small or mostly of one shade, so that different images look alike, [N]."""
        self.is_read = np.zeros(count, np.bool_)
        """Whether an image could be read, [N]."""
        self.unreadable: dict[str, str] = {}
        """Why an image could not be read, by its path."""

    def read(self, threads: int, on_progress: Callable[[int], None]) -> None:
        """Read all images.

        Args:
            threads: Threads that decode.
            on_progress: Called on the calling thread from time to time with the number of images so far.
        """
        starts = range(0, len(self._paths), _IMAGES_PER_TASK)
        executor = ThreadPoolExecutor(threads, thread_name_prefix="reduce")
        try:
            for done, reasons in zip(starts, executor.map(self._read_some, starts), strict=True):
                self.unreadable |= reasons
                on_progress(min(done + _IMAGES_PER_TASK, len(self._paths)))
        finally:
            executor.shutdown(cancel_futures=True)  # Ctrl-C, too, ends the threads after their images

    def _read_some(self, start: int) -> dict[str, str]:
        """Read some images, and return why some of them could not be read."""
        reasons: dict[str, str] = {}
        for position in range(start, min(start + _IMAGES_PER_TASK, len(self._paths))):
            try:
                self._reduce(position)
            except (ImageError, OSError) as error:
                reasons[self._paths[position]] = why_unreadable(error)
        return reasons

    def _reduce(self, position: int) -> None:
        sides: list[int] = []

        def whole(width: int, height: int) -> Box:
            sides.extend((width, height))
            return _WHOLE

        image = Image.fromarray(load_crop(self._root / self._paths[position], _HASHED, whole)[:, :, 0])
        pixels = np.asarray(image.reduce(_HASHED.size[0] // SIDE))
        shade = np.abs(pixels - np.median(pixels)) <= _SHADE
        self.hashes[position] = self._hash(image)
        if self.mirror_hashes is not None:
            self.mirror_hashes[position] = self._hash(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
        self.pixels[position] = pixels
        self.is_plain[position] = min(sides) < _SMALL or shade.mean() > _PLAIN_SHARE
        self.is_read[position] = True

    def _hash(self, image: Image.Image) -> np.uint64:
        return np.uint64(np.packbits(self._phash(image).hash).view(np.uint64)[0])
