"""Decode an image file and bring it to a network's input, identically in training, command line and gateway.

The geometry is that of EfficientNet's evaluation: take the largest centred box with the aspect ratio of the input,
shrink it to `crop_fraction` of its sides, and resize it with antialiasing to the size of the input.
"""

from __future__ import annotations

import io
import math
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np

# Importing a plug-in registers its format. Otherwise `Image.open` would load all forty plug-ins for the first WebP.
from PIL import (
    BmpImagePlugin,  # noqa: F401
    GifImagePlugin,  # noqa: F401
    Image,
    PngImagePlugin,  # noqa: F401
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401
)
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    _Box = tuple[float, float, float, float]

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "MEDIA_TYPES",
    "ImageError",
    "ImageTooLargeError",
    "Interpolation",
    "Preprocessing",
    "load_image",
]

Interpolation = Literal["bicubic", "bilinear"]

MEDIA_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "image/jpeg": "JPEG",
        "image/png": "PNG",
        "image/webp": "WEBP",
        "image/bmp": "BMP",
        "image/gif": "GIF",
    }
)
"""Accepted formats, by media type and under Pillow's names; no other decoder of Pillow runs."""

DEFAULT_MAX_PIXELS: Final = 64_000_000
"""Enough for the 50 megapixels of telephones; an image of this size takes 256 MB when decoded."""

# Each scan of a JPEG file takes thirty bytes and makes the decoder pass over the whole image, so a megabyte of scans
# could keep it busy for minutes. Progressive encoders write about ten scans. The pattern is the start of a scan header
# (ITU T.81, B.2.3), long enough not to occur by chance in a video that a telephone appended to the image.
_SCAN_HEADER: Final = re.compile(rb"\xff\xda\x00(?:\x08\x01|\x0a\x02|\x0c\x03|\x0e\x04)")
_MAX_SCANS: Final = 100

# Large images are first reduced by an integer factor, which is faster: by the JPEG decoder to at least twice the size
# of the input, by Pillow to at least three times.
_DECODING_GAP: Final = 2.0
_REDUCING_GAP: Final = 3.0

_ORIENTATION_TAG: Final = 0x0112
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
# EXIF orientations in which height and width are swapped.
_SWAPPED: Final = frozenset({5, 6, 7, 8})


class ImageError(ValueError):
    """The file is not an image in an accepted format, or the image is damaged."""


class ImageTooLargeError(ImageError):
    """The header of the image declares more pixels than are accepted."""


@dataclass(frozen=True)
class Preprocessing:
    """Preprocessing that a network expects; exported models carry it, so that the gateway applies the same.

    Raises:
        ValueError: If a value is not allowed.
    """

    size: tuple[int, int]
    """Height and width of the input, in pixels."""
    mean: tuple[float, ...]
    """Mean of each channel, which is subtracted, on the scale 0 to 255; 1 entry for greyscale, 3 for RGB."""
    std: tuple[float, ...]
    """Standard deviation of each channel, which the difference is divided by, on the same scale."""
    crop_fraction: float = 0.875
    """Side of the box that is kept, relative to the largest centred box; above 0, at most 1."""
    interpolation: Interpolation = "bicubic"
    """Filter for resizing, ``"bicubic"`` or ``"bilinear"``."""

    def __post_init__(self) -> None:
        # Types are checked too, because values may come from a model_card.json that was edited by hand.
        sizes = isinstance(self.size, tuple) and len(self.size) == 2
        if not sizes or not all(type(side) is int and side > 0 for side in self.size):
            raise ValueError(f"size must be two positive integers (height, width), got {self.size!r}")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if not isinstance(values, tuple) or not all(_is_finite(value) for value in values):
                raise ValueError(f"{name} must be a tuple of finite numbers, got {values!r}")
            if len(values) not in {1, 3}:
                raise ValueError(f"{name} must have 1 entry (greyscale) or 3 (RGB), got {values!r}")
        if len(self.mean) != len(self.std):
            raise ValueError(f"mean and std must be equally long, got {self.mean!r} and {self.std!r}")
        if min(self.std) <= 0:
            raise ValueError(f"std must be positive, got {self.std!r}")
        if not _is_finite(self.crop_fraction) or not 0 < self.crop_fraction <= 1:
            raise ValueError(f"crop_fraction must be above 0 and at most 1, got {self.crop_fraction!r}")
        if self.interpolation not in get_args(Interpolation):
            allowed = " or ".join(map(repr, get_args(Interpolation)))
            raise ValueError(f"interpolation must be {allowed}, got {self.interpolation!r}")

    @property
    def channels(self) -> int:
        """Number of channels: 1 for greyscale, 3 for RGB."""
        return len(self.mean)

    def normalize(self, images: ArrayLike) -> NDArray[np.float32]:
        """Return ``(images - mean) / std`` as float32.

        Args:
            images: Pixels of shape (..., channels), 0 to 255.

        Raises:
            ValueError: If the number of channels differs from that of the mean.
        """
        pixels = np.array(images, dtype=np.float32)
        if pixels.ndim == 0 or pixels.shape[-1] != self.channels:
            raise ValueError(
                f"the last axis of images must have {self.channels} channels, got the shape {pixels.shape}"
            )
        pixels -= np.asarray(self.mean, dtype=np.float32)
        pixels /= np.asarray(self.std, dtype=np.float32)
        return pixels

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a dictionary that can be written as JSON."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, data: object) -> Preprocessing:
        """Return the preprocessing whose `to_json` is ``data``.

        Raises:
            ValueError: If ``data`` is not such a dictionary; the message names the value received and those allowed.
        """
        allowed = [field.name for field in fields(cls)]
        if not isinstance(data, Mapping):
            raise ValueError(f"preprocessing must be an object with {', '.join(allowed)}, got {data!r}")
        if set(data) != set(allowed):
            received = ", ".join(map(str, data)) or "none"
            raise ValueError(f"preprocessing must have the keys {', '.join(allowed)}, got {received}")
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        return cls(**values)


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
        ImageTooLargeError: If the header declares more than ``max_pixels`` pixels; no pixel is decoded then.
        ImageError: If the file is not an image in an accepted format (`MEDIA_TYPES`), or is damaged.
        OSError: If the path cannot be read.
    """
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    try:
        with Image.open(io.BytesIO(data), formats=tuple(MEDIA_TYPES.values())) as image:
            if image.width * image.height > max_pixels:
                raise _too_large(max_pixels)
            if isinstance(image, JpegImageFile) and len(_SCAN_HEADER.findall(data)) > _MAX_SCANS:
                raise ImageError(
                    f"The JPEG image has more than {_MAX_SCANS} scans; save it again with a common encoder."
                )
            return _fit(image, preprocessing)
    except ImageError:
        raise
    except UnidentifiedImageError:
        formats = ", ".join(MEDIA_TYPES.values())
        raise ImageError(f"This is not an image in one of the formats {formats}.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(max_pixels) from None
    except Exception as error:  # on malicious files decoders raise almost any exception
        raise ImageError("The image is damaged or incomplete.") from error


def _too_large(max_pixels: int) -> ImageTooLargeError:
    return ImageTooLargeError(f"The image is too large: at most {max_pixels:,} pixels are accepted.")


def _fit(image: ImageFile, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Decode, crop, resize and rotate; rotation comes last, on the smallest image, since the crop is centred."""
    height, width = preprocessing.size
    extent = _reduce_while_decoding(image, preprocessing)
    image.load()
    orientation = _orientation(image)
    size = (height, width) if orientation in _SWAPPED else (width, height)
    picture = _as_grey_or_rgb(image).resize(
        size,
        resample=Image.Resampling[preprocessing.interpolation.upper()],
        box=_centred_box(extent, size, preprocessing.crop_fraction),
        reducing_gap=_REDUCING_GAP,
    )
    if orientation in _UPRIGHT:
        picture = picture.transpose(_UPRIGHT[orientation])
    picture = picture.convert("L" if preprocessing.channels == 1 else "RGB")
    return np.array(picture).reshape(height, width, preprocessing.channels)


def _reduce_while_decoding(image: ImageFile, preprocessing: Preprocessing) -> tuple[float, float]:
    """Let the JPEG decoder reduce the image; return the width and height that result, unrounded."""
    # The longer side of the input, compared with the shorter side of the image, suffices for either orientation.
    kept = preprocessing.crop_fraction * min(image.size)
    scale = _DECODING_GAP * max(preprocessing.size) / kept
    needed = (math.ceil(scale * image.width), math.ceil(scale * image.height))
    drafted = image.draft(None, needed)  # None from decoders of other formats
    return image.size if drafted is None else drafted[1][2:]


def _centred_box(extent: tuple[float, float], size: tuple[int, int], fraction: float) -> _Box:
    """Return the largest centred box with the aspect ratio of `size`, shrunk to `fraction` of its sides."""
    scale = fraction * min(extent[0] / size[0], extent[1] / size[1])
    left, top = ((length - scale * side) / 2 for length, side in zip(extent, size, strict=True))
    # Rounding could move the box over the border, where Pillow raises an error.
    left, top = max(left, 0.0), max(top, 0.0)
    return left, top, extent[0] - left, extent[1] - top


def _orientation(image: ImageFile) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # noqa: BLE001  the image may be sound although its metadata are damaged
        return 1


def _as_grey_or_rgb(image: Image.Image) -> Image.Image:
    """Convert any pixel format to one that Pillow can resample, "L" or "RGB"."""
    if image.mode == "I;16":
        return _high_bytes(image)
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        canvas = Image.new("RGB", image.size, "white")
        canvas.paste(picture, mask=picture)
        return canvas
    if image.mode in {"L", "RGB"}:
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _high_bytes(image: Image.Image) -> Image.Image:
    """Convert 16-bit greyscale to its high bytes, as Pillow does for colour; its greyscale conversion clips."""
    samples = np.asarray(image)
    grey = (samples >> 8).astype(np.uint8)
    grey[samples == image.info.get("transparency", -1)] = 255
    return Image.fromarray(grey)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
