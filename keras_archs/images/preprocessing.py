"""From an image file to a model's input, for training, the command line and the gateway alike.

Only NumPy and Pillow are needed. The geometry is that of EfficientNet's evaluation: the largest centred box
with the input's aspect ratio, shrunk to `crop_fraction` of it, resized with antialiasing to the input's size.
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

# Importing a plug-in registers its format. Left to `Image.open`, the first WebP would load all forty of them.
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
"""The accepted formats, as Pillow calls them, by media type; no other decoder of Pillow is ever asked."""

DEFAULT_MAX_PIXELS: Final = 64_000_000
"""Above what today's telephones take (50 megapixels); a decoded image of this size holds 256 MB."""

# A JPEG file may repeat its scans at will: thirty bytes ask for one more pass over the whole picture, so that
# a megabyte can keep a decoder busy for minutes. Progressive encoders write about ten. The pattern is the
# start of a scan's header (ITU T.81, B.2.3), long enough not to occur by chance in a video that a telephone
# has appended to the picture.
_SCAN_HEADER: Final = re.compile(rb"\xff\xda\x00(?:\x08\x01|\x0a\x02|\x0c\x03|\x0e\x04)")
_MAX_SCANS: Final = 100

# Large photographs are reduced by a whole factor first: by the JPEG decoder to at least twice the input's
# size, by Pillow to at least three times.
_DECODING_GAP: Final = 2.0
_REDUCING_GAP: Final = 3.0

_ORIENTATION_TAG: Final = 0x0112
# How to bring the stored picture upright, by the EXIF orientation.
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
_LYING: Final = frozenset({5, 6, 7, 8})


class ImageError(ValueError):
    """The bytes are not an image of an accepted format, or the image is damaged."""


class ImageTooLargeError(ImageError):
    """The image's header announces more pixels than are accepted."""


@dataclass(frozen=True)
class Preprocessing:
    """What a model expects of its input images; it travels with the model from the registry to the gateway.

    Attributes:
        size: height and width of the input, in pixels.
        mean: what is subtracted per channel, on the scale 0 to 255; one entry for greyscale, three for RGB.
        std: what the difference is divided by, per channel, on the same scale.
        crop_fraction: the part of the largest centred box that is kept, per side; above 0, at most 1.
        interpolation: the filter used for resizing, "bicubic" or "bilinear".
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop_fraction: float = 0.875
    interpolation: Interpolation = "bicubic"

    def __post_init__(self) -> None:
        # The types are checked as well: the values may come from a model card that a person has edited.
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
        """1 for greyscale, 3 for RGB."""
        return len(self.mean)

    def normalize(self, images: ArrayLike) -> NDArray[np.float32]:
        """Returns `(images - mean) / std` for images of any leading shape whose last axis is the channels."""
        pixels = np.array(images, dtype=np.float32)
        if pixels.ndim == 0 or pixels.shape[-1] != self.channels:
            raise ValueError(f"the last axis must have {self.channels} channels, got the shape {pixels.shape}")
        pixels -= np.asarray(self.mean, dtype=np.float32)
        pixels /= np.asarray(self.std, dtype=np.float32)
        return pixels

    def to_json(self) -> dict[str, Any]:
        """Returns a dictionary that JSON can hold and `from_json` takes."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, data: object) -> Preprocessing:
        """Reads what `to_json` wrote.

        Raises:
            ValueError: for anything else; the message names what was received and what is allowed.
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
    """Decodes one image and brings it to a model's input size.

    Any pixel format comes out as 8-bit greyscale or RGB, upright by its EXIF orientation. Transparent pixels
    are composited over white; of an animation the first frame is taken. Colour profiles are ignored, as in
    the usual training pipelines. Many threads may call this at once; Pillow releases the GIL while it decodes
    and resizes.

    Args:
        source: the file's bytes, or its path.
        preprocessing: size, channels, crop and interpolation.
        max_pixels: the most pixels that the image's header may announce. Pillow's own limit, twice its
            `MAX_IMAGE_PIXELS` or 179 million, holds besides.

    Returns:
        The pixels as [height, width, channels].

    Raises:
        ImageTooLargeError: for more than `max_pixels` pixels, before any of them is decoded.
        ImageError: if this is no image of an accepted format (`MEDIA_TYPES`), or a damaged one.
        OSError: if the path cannot be read.
    """
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    try:
        with Image.open(io.BytesIO(data), formats=tuple(MEDIA_TYPES.values())) as image:
            if image.width * image.height > max_pixels:
                raise _too_large(max_pixels)
            if isinstance(image, JpegImageFile) and len(_SCAN_HEADER.findall(data)) > _MAX_SCANS:
                raise ImageError(f"The JPEG image has more than {_MAX_SCANS} scans.")
            return _fit(image, preprocessing)
    except ImageError:
        raise
    except UnidentifiedImageError:
        formats = ", ".join(MEDIA_TYPES.values())
        raise ImageError(f"This is not an image in one of the formats {formats}.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(max_pixels) from None
    except Exception as error:  # hostile bytes make decoders raise nearly anything
        raise ImageError("The image is damaged or incomplete.") from error


def _too_large(max_pixels: int) -> ImageTooLargeError:
    return ImageTooLargeError(f"The image is too large: at most {max_pixels:,} pixels are accepted.")


def _fit(image: ImageFile, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Decodes, crops, resizes and turns, in this order: turning is cheapest last, and the crop is centred."""
    height, width = preprocessing.size
    extent = _reduce_while_decoding(image, preprocessing)
    image.load()
    orientation = _orientation(image)
    size = (height, width) if orientation in _LYING else (width, height)
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
    """Tells a JPEG decoder how many pixels are needed; returns the width and height it gives, unrounded."""
    # The longer side of the input against the shorter one of the picture suffices for either orientation.
    kept = preprocessing.crop_fraction * min(image.size)
    scale = _DECODING_GAP * max(preprocessing.size) / kept
    needed = (math.ceil(scale * image.width), math.ceil(scale * image.height))
    drafted = image.draft(None, needed)  # other decoders cannot do this, and say so by None
    return image.size if drafted is None else drafted[1][2:]


def _centred_box(extent: tuple[float, float], size: tuple[int, int], fraction: float) -> _Box:
    """The largest centred box with the aspect ratio of `size`, shrunk to `fraction` of its sides."""
    scale = fraction * min(extent[0] / size[0], extent[1] / size[1])
    left, top = ((have - scale * want) / 2 for have, want in zip(extent, size, strict=True))
    # Rounding must not carry the box over the border, where Pillow refuses it.
    left, top = max(left, 0.0), max(top, 0.0)
    return left, top, extent[0] - left, extent[1] - top


def _orientation(image: ImageFile) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # noqa: BLE001  damaged metadata is no reason to refuse a sound picture
        return 1


def _as_grey_or_rgb(image: Image.Image) -> Image.Image:
    """Brings any pixel format to one that Pillow can resample, "L" or "RGB"."""
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
    """Brings 16-bit greyscale to 8 bits, as Pillow does with 16-bit colour; its own conversion would clip."""
    samples = np.asarray(image)
    grey = (samples >> 8).astype(np.uint8)
    grey[samples == image.info.get("transparency", -1)] = 255
    return Image.fromarray(grey)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
