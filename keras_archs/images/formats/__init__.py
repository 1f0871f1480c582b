"""The headers of image files: what is in a file, and what decoding it takes, before any pixel is decoded.

A module per format reads the header. `inspect` finds the module by the first bytes of the file; names and declared
media types do not matter.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from keras_archs.images.errors import ImageError, UnsupportedImageError
from keras_archs.images.formats import bmp, gif, jpeg, others, png, webp
from keras_archs.images.formats.picture import Picture

__all__ = ["MEDIA_TYPES", "Picture", "inspect"]

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


def inspect(data: bytes) -> Picture:
    """Read the header of an image file.

    Args:
        data: Content of the file.

    Raises:
        UnsupportedImageError: If the file is an image of a format or kind that is not decoded.
        ImageError: If the file is not an image, or its header is damaged.
    """
    try:
        if data.startswith(jpeg.SIGNATURE):
            return jpeg.inspect(data)
        if data.startswith(png.SIGNATURE):
            return png.inspect(data)
        if webp.is_webp(data):
            return webp.inspect(data)
        if data.startswith(gif.SIGNATURES):
            return gif.inspect(data)
        if data.startswith(bmp.SIGNATURE):
            return bmp.inspect(data)
    except (IndexError, struct.error):
        raise ImageError("The image is damaged or incomplete.") from None
    accepted = ", ".join(MEDIA_TYPES.values())
    if name := others.name_of(data):
        raise UnsupportedImageError(f"{name} is not supported: send an image in one of the formats {accepted}.")
    raise ImageError(f"This is not an image in one of the formats {accepted}.")
