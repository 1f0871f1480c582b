"""Images as callers have them, as bytes for a request's body."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

ImageLike: TypeAlias = str | os.PathLike[str] | bytes | Image.Image | NDArray[np.uint8]
"""A file's path, a file's content, a Pillow image, or pixels of shape (height, width[, 1, 3 or 4])."""

_CHANNELS = (1, 3, 4)
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
_FAST = 1  # compression level: ten times as fast as the best, for files that are a tenth larger


def is_one_image(images: object) -> bool:
    """Return whether the argument is one image rather than several."""
    return isinstance(images, str | os.PathLike | bytes | Image.Image | np.ndarray)


def encode(image: ImageLike) -> bytes:
    """Return an image as a file's content; pixels become PNG, without loss.

    Raises:
        OSError: The path cannot be read.
        ValueError: The array has no pixels of an image, or the Pillow image has a mode without a file format.
        TypeError: The argument is no image.
    """
    match image:
        case bytes():
            return image
        case str() | os.PathLike():
            return Path(image).read_bytes()
        case np.ndarray():
            return _png(_from_pixels(image))
        case Image.Image():
            return _png(_upright(image))
    raise TypeError(
        "an image is a path, bytes, a Pillow image or a uint8 array; "
        f"got {type(image).__module__}.{type(image).__qualname__}"
    )


def parts(images: Iterable[ImageLike], *, max_images: int, max_bytes: int) -> Iterator[list[bytes]]:
    """Divide images into parts for a request each; an image is read when its part is.

    Args:
        images: The images.
        max_images: Largest number of images in a part.
        max_bytes: Bytes that a part may have, unless it is a single image.

    Yields:
        Encoded images in the given order, at least one per part.
    """
    part: list[bytes] = []
    size = 0
    for image in images:
        encoded = encode(image)
        if part and (len(part) == max_images or size + len(encoded) > max_bytes):
            yield part
            part, size = [], 0
        part.append(encoded)
        size += len(encoded)
    if part:
        yield part


def _from_pixels(pixels: NDArray[np.uint8]) -> Image.Image:
    has_channels = pixels.ndim == 3 and pixels.shape[2] in _CHANNELS
    if pixels.dtype != np.uint8 or not (pixels.ndim == 2 or has_channels) or not pixels.size:
        raise ValueError(
            "an array is one image of uint8, of shape (height, width) or (height, width, 1, 3 or 4); got "
            f"{pixels.dtype} of shape {pixels.shape}{'; pass list(array)' if pixels.ndim == 4 else ''}"
        )
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2:] == (1,) else pixels)


def _upright(image: Image.Image) -> Image.Image:
    """Return the image as the gateway would turn it by its file's EXIF orientation, which PNG files have seldom."""
    upright = ImageOps.exif_transpose(image)
    if upright.mode in _PNG_MODES:
        return upright
    if upright.mode in ("I", "F"):
        raise ValueError(f"a Pillow image of mode {upright.mode!r} has no range of values: convert it to 'L' or 'RGB'")
    return upright.convert("RGB")


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=_FAST)
    return file.getvalue()
