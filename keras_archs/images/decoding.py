"""Decode an image file and bring it to a network's input, identically in training, command line and gateway.

The geometry is that of EfficientNet's evaluation: take the largest centred box with the aspect ratio of the input,
shrink it to `crop_fraction` of its sides, and resize it with antialiasing to the size of the input. Training may choose
another box; everything else is the same.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

# Importing a plug-in registers its format. Otherwise `Image.open` would load all forty plug-ins for the first WebP.
from PIL import (
    BmpImagePlugin,  # noqa: F401
    GifImagePlugin,  # noqa: F401
    Image,
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    WebPImagePlugin,  # noqa: F401
)
from PIL.ImageFile import ImageFile

from keras_archs.images import fitting, pixel_formats
from keras_archs.images.box import Box
from keras_archs.images.errors import ImageError, ImageTooLargeError, UnsupportedImageError
from keras_archs.images.formats import Picture, inspect
from keras_archs.images.formats.picture import SWAPPED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from keras_archs.images.preprocessing import Preprocessing

DEFAULT_MAX_PIXELS: Final = 64_000_000
"""Enough for the 50 megapixels of telephones."""

DEFAULT_MAX_MEMORY: Final = 1_200_000_000
"""Bytes that decoding one image may take: enough for each accepted format at `DEFAULT_MAX_PIXELS`."""

# About a second. A scan of a JPEG file takes few bytes, so some hundred kilobytes could keep the decoder busy for long.
# The ten scans of progressive encoders take 8 to 14 steps per pixel in colour, and 24 for CMYK.
_MAX_WORK: Final = 1_250_000_000
# Steps after which a decoder asks for more of the file, where decoding can stop early.
_WORK_PER_BLOCK: Final = 20_000_000
_SMALLEST_BLOCK: Final = 512

# The JPEG decoder reduces an image to at least this many times the size of the input.
_DECODING_GAP: Final = 2.0
_SHRINKING: Final = (8, 4, 2, 1)

# Transposition that turns the stored image upright, by EXIF orientation.
_UPRIGHT: Final[Mapping[int, Image.Transpose]] = MappingProxyType(
    {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
)
# EXIF orientations in which the right end of the stored image is the left or upper end of the upright image, and those
# in which its lower end is.
_REVERSED_ACROSS: Final = frozenset({2, 3, 7, 8})
_REVERSED_DOWN: Final = frozenset({3, 4, 6, 7})


class DecodingCancelledError(Exception):
    """The image is no longer wanted; decoding stopped before its end."""


def load_image(
    source: bytes | str | os.PathLike[str],
    preprocessing: Preprocessing,
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> NDArray[np.uint8]:
    """Decode an image, crop it, and resize it to a network's input size.

    Any pixel format becomes 8-bit greyscale or RGB, turned upright by its EXIF orientation. Transparent pixels are
    composited over white, and an animation gives its first frame. Colour profiles are ignored, as in common training
    pipelines. The function is thread-safe; Pillow releases the GIL while it decodes and resizes.

    Args:
        source: Content of the file, or its path.
        preprocessing: Size, channels, crop and interpolation.
        max_pixels: Largest number of pixels that the header of the image may declare. Pillow's own limit of 179
            million pixels, twice its `MAX_IMAGE_PIXELS`, applies as well.

    Returns:
        Pixels of shape (height, width, channels), 0 to 255.

    Raises:
        ImageTooLargeError: If the header declares more than ``max_pixels`` pixels, or if decoding would take more than
            `DEFAULT_MAX_MEMORY` bytes or too many scans; no pixel is decoded then.
        UnsupportedImageError: If the file is an image of a format or kind that is not decoded.
        ImageError: If the file is not an image in an accepted format (`MEDIA_TYPES`), or is damaged.
        MemoryError: If there is not enough memory.
        OSError: If the path cannot be read.
    """
    picture = _read(source)
    check_limits(picture, preprocessing, max_pixels=max_pixels)
    return decode(picture, preprocessing)


def load_crop(
    source: bytes | str | os.PathLike[str],
    preprocessing: Preprocessing,
    choose_box: Callable[[int, int], Box],
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> NDArray[np.uint8]:
    """Decode an image and resize a part of it to a network's input size.

    The function differs from `load_image` in nothing but the part that is kept. A JPEG file is decoded at a half, a
    quarter or an eighth of its sides if the chosen box has enough pixels left.

    Args:
        source: Content of the file, or its path.
        preprocessing: Size, channels and interpolation; the crop fraction has no effect.
        choose_box: Function from width and height of the upright image, in pixels, to the part that is kept.
        max_pixels: As in `load_image`.

    Returns:
        Pixels of shape (height, width, channels), 0 to 255. The box is stretched to the aspect ratio of the input.

    Raises:
        ImageTooLargeError: As in `load_image`.
        UnsupportedImageError: As in `load_image`.
        ImageError: As in `load_image`.
        MemoryError: If there is not enough memory.
        OSError: If the path cannot be read.
    """
    picture = _read(source)
    box = choose_box(*picture.upright_size)
    check_limits(picture, preprocessing, max_pixels=max_pixels, box=box)
    return decode(picture, preprocessing, box=box)


def _read(source: bytes | str | os.PathLike[str]) -> Picture:
    return inspect(source if isinstance(source, bytes) else Path(source).read_bytes())


def check_limits(
    picture: Picture,
    preprocessing: Preprocessing,
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    max_memory: int = DEFAULT_MAX_MEMORY,
    box: Box | None = None,
) -> None:
    """Refuse an image that takes too much to decode.

    Args:
        picture: The image, by its header.
        preprocessing: Size and crop of the result.
        max_pixels: Largest number of pixels.
        max_memory: Most bytes that decoding may take.
        box: Part of the upright image that is kept; None for the centred box of the preprocessing.

    Raises:
        ImageTooLargeError: If a limit is exceeded; the message says which.
    """
    if picture.pixels > max_pixels:
        raise _too_large(max_pixels)
    size = f"The {picture.format} image of {picture.width} x {picture.height} pixels"
    if picture.work > _MAX_WORK:
        raise ImageTooLargeError(
            f"{size} takes {picture.work / 1e6:,.0f} million steps to decode; at most {_MAX_WORK / 1e6:,.0f} million "
            "are accepted. Save it with a common encoder, or reduce it."
        )
    needed = memory_needed(picture, preprocessing, box)
    if needed > max_memory:
        raise ImageTooLargeError(
            f"{size} takes {needed / 1e6:,.0f} MB of memory to decode; at most {max_memory / 1e6:,.0f} MB are "
            "accepted. Reduce it, or save it in another format."
        )


def memory_needed(picture: Picture, preprocessing: Preprocessing, box: Box | None = None) -> int:
    """Return the bytes that decoding an image takes at its peak, beside the file itself.

    Args:
        picture: The image, by its header.
        preprocessing: Size and crop of the result.
        box: Part of the upright image that is kept; None for the centred box of the preprocessing.
    """
    width, height = _decoded_size(picture, preprocessing, box)
    size = _upright_size(picture, preprocessing)
    fit = fitting.plan((width, height), (width, height), size, preprocessing, _stored(box, picture)).memory
    return picture.decoder_bytes + picture.bytes_per_pixel * width * height + fit


def decode(
    picture: Picture,
    preprocessing: Preprocessing,
    is_cancelled: Callable[[], bool] = lambda: False,
    *,
    box: Box | None = None,
) -> NDArray[np.uint8]:
    """Decode an image whose header was read, crop it, and resize it to a network's input size.

    Args:
        picture: The image.
        preprocessing: Size, channels, crop and interpolation.
        is_cancelled: Called from time to time; decoding stops once it returns True.
        box: Part of the upright image that is kept; None for the centred box of the preprocessing.

    Returns:
        Pixels of shape (height, width, channels), 0 to 255.

    Raises:
        DecodingCancelledError: If decoding stopped early.
        UnsupportedImageError: If the image is of a kind that is not decoded.
        ImageError: If the image is damaged.
        MemoryError: If there is not enough memory.
    """
    try:
        with Image.open(_Source(picture.content, is_cancelled), formats=(picture.format,)) as image:
            if image.size != (picture.width, picture.height):
                raise ImageError("The image is damaged: its header tells two sizes.")
            return _fit(image, picture, preprocessing, box, is_cancelled)
    except (DecodingCancelledError, ImageError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(2 * (Image.MAX_IMAGE_PIXELS or DEFAULT_MAX_PIXELS)) from None
    except Exception as error:  # on malicious files decoders raise almost any exception
        if str(error).startswith("Unsupported BMP"):
            raise UnsupportedImageError(f"The BMP image is of a kind that is not supported: {error}.") from None
        # Decoders report a lack of memory as damage.
        np.empty(memory_needed(picture, preprocessing, box), np.uint8)
        raise ImageError("The image is damaged or incomplete.") from error


class _Source(io.BytesIO):
    """A file in memory that cannot be read any more once the image is no longer wanted."""

    def __init__(self, content: bytes, is_cancelled: Callable[[], bool]) -> None:
        super().__init__(content)
        self._is_cancelled = is_cancelled

    def read(self, size: int | None = -1, /) -> bytes:
        if self._is_cancelled():
            raise DecodingCancelledError
        return super().read(size)


def _too_large(max_pixels: int) -> ImageTooLargeError:
    return ImageTooLargeError(f"The image is too large: at most {max_pixels:,} pixels are accepted.")


def _fit(
    image: ImageFile,
    picture: Picture,
    preprocessing: Preprocessing,
    box: Box | None,
    is_cancelled: Callable[[], bool],
) -> NDArray[np.uint8]:
    """Decode, crop, resize and rotate; rotation comes last, on the smallest image."""
    extent = _reduce_while_decoding(image, picture, preprocessing, box)
    blocks = math.ceil(picture.work / _WORK_PER_BLOCK)
    image.decodermaxblock = min(image.decodermaxblock, max(_SMALLEST_BLOCK, len(picture.content) // max(1, blocks)))
    image.load()
    if picture.transparent_colour is None:
        band = pixel_formats.converter(image)
    else:
        with Image.open(_Source(picture.content, is_cancelled), formats=(picture.format,)) as low:
            low.tile = [tile._replace(args="RGB;16L") for tile in low.tile]  # the second byte of each sample
            low.load()
            band = pixel_formats.converter_with_transparent_colour(image, low, picture.transparent_colour)
    size = _upright_size(picture, preprocessing)
    plan = fitting.plan(image.size, extent, size, preprocessing, _stored(box, picture))
    result = fitting.fit(image, band and _stoppable(band, is_cancelled), plan, preprocessing.interpolation)
    if picture.orientation in _UPRIGHT:
        result = result.transpose(_UPRIGHT[picture.orientation])
    result = result.convert("L" if preprocessing.channels == 1 else "RGB")
    return np.array(result).reshape(*preprocessing.size, preprocessing.channels)


def _stoppable(band: fitting.Band, is_cancelled: Callable[[], bool]) -> fitting.Band:
    def convert(box: tuple[int, int, int, int]) -> Image.Image:
        if is_cancelled():
            raise DecodingCancelledError
        return band(box)

    return convert


def _upright_size(picture: Picture, preprocessing: Preprocessing) -> tuple[int, int]:
    """Return width and height of the result before it is turned upright."""
    height, width = preprocessing.size
    return (height, width) if picture.orientation in SWAPPED else (width, height)


def _stored(box: Box | None, picture: Picture) -> Box | None:
    """Return the part of the stored image that a part of the upright image is."""
    if box is None:
        return None
    left, top, right, bottom = box.left, box.top, box.right, box.bottom
    if picture.orientation in SWAPPED:
        left, top, right, bottom = top, left, bottom, right
    if picture.orientation in _REVERSED_ACROSS:
        left, right = 1 - right, 1 - left
    if picture.orientation in _REVERSED_DOWN:
        top, bottom = 1 - bottom, 1 - top
    return Box(left, top, right, bottom)


def _shrinking(picture: Picture, preprocessing: Preprocessing, box: Box | None) -> int:
    """Return the factor by which the decoder reduces the image: 8, 4, 2 or 1."""
    if not picture.shrinks:
        return 1
    if part := _stored(box, picture):
        width, height = _upright_size(picture, preprocessing)
        across = (part.right - part.left) * picture.width / width
        factor = min(across, (part.bottom - part.top) * picture.height / height) / _DECODING_GAP
    else:
        # The longer side of the input, compared with the shorter side of the image, suffices for either orientation.
        side = min(picture.width, picture.height)
        scale = _DECODING_GAP * max(preprocessing.size) / (preprocessing.crop_fraction * side)
        factor = min(side // math.ceil(scale * side) for side in (picture.width, picture.height))
    return next(shrinking for shrinking in _SHRINKING if factor >= shrinking or shrinking == 1)


def _decoded_size(picture: Picture, preprocessing: Preprocessing, box: Box | None) -> tuple[int, int]:
    factor = _shrinking(picture, preprocessing, box)
    return -(-picture.width // factor), -(-picture.height // factor)


def _reduce_while_decoding(
    image: ImageFile, picture: Picture, preprocessing: Preprocessing, box: Box | None
) -> tuple[float, float]:
    """Let the JPEG decoder reduce the image; return the width and height that result, unrounded."""
    factor = _shrinking(picture, preprocessing, box)
    if factor > 1:
        image.draft(None, (picture.width // factor, picture.height // factor))
    return picture.width / factor, picture.height / factor
