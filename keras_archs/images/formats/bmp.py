"""The header of a Windows bitmap: size, bits per pixel and compression."""

from __future__ import annotations

import struct
from typing import Final

from keras_archs.images.errors import ImageError, UnsupportedImageError
from keras_archs.images.formats.picture import Picture

SIGNATURE: Final = b"BM"

_OS2_1, _OS2_2 = 12, 64
_WINDOWS: Final = frozenset({40, 52, 56, 108, 124})
_RAW, _RLE8, _RLE4, _BIT_FIELDS = range(4)
_COMPRESSIONS: Final = {4: "an embedded JPEG", 5: "an embedded PNG", 6: "alpha bit fields"}
_BITS: Final = frozenset({1, 4, 8, 16, 24, 32})

# Pillow decodes runs in Python, and pads short lines byte by byte.
_RUN_WORK: Final = 100
_WORK: Final = 4


def inspect(data: bytes) -> Picture:
    """Read the header of a BMP file.

    Raises:
        ImageError: If the file is damaged, or of a kind of BMP that is not decoded.
        struct.error: If the file ends too early.
    """
    (header_size,) = struct.unpack_from("<I", data, 14)
    compression = _RAW
    if header_size == _OS2_1:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
    elif header_size in _WINDOWS or header_size == _OS2_2:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    else:
        raise UnsupportedImageError(f"BMP with a header of {header_size} bytes is not supported.")
    runs = compression in {_RLE8, _RLE4}
    if bits not in _BITS:
        raise UnsupportedImageError(f"BMP with {bits} bits per pixel is not supported; 1, 4, 8, 16, 24 and 32 are.")
    if compression > _BIT_FIELDS or (header_size == _OS2_2 and compression == _BIT_FIELDS):
        name = _COMPRESSIONS.get(compression, f"compression {compression}")
        raise UnsupportedImageError(f"BMP with {name} is not supported.")
    if width <= 0 or height == 0:
        raise ImageError("The image is damaged or incomplete.")
    pixels = width * abs(height)
    return Picture(
        format="BMP",
        width=width,
        height=abs(height),
        content=data,
        bytes_per_pixel=(1 if bits <= 8 else 4) + 3 * runs,
        decoder_bytes=0,
        work=_RUN_WORK * (pixels + len(data)) if runs else _WORK * pixels,
    )
