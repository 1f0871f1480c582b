"""The header of a GIF file: the size of the first frame, and the blocks that it needs."""

from __future__ import annotations

import struct
from typing import Final

from keras_archs.images.errors import ImageError
from keras_archs.images.formats.picture import Picture

SIGNATURES: Final = (b"GIF87a", b"GIF89a")

_MAX_BLOCKS: Final = 50_000
_WORK: Final = 5
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_GRAPHIC_CONTROL: Final = 0xF9


def inspect(data: bytes) -> Picture:
    """Read the header of a GIF file up to its first frame, and leave out comments and application data.

    Raises:
        ImageError: If the file is damaged.
        IndexError: If the file ends too early.
        struct.error: If the file ends too early.
    """
    width, height = struct.unpack_from("<HH", data, 6)
    header = 13 + _palette_bytes(data[10])
    position, control = header, b""
    for _ in range(_MAX_BLOCKS):
        if data[position] == _IMAGE:
            left, top, frame_width, frame_height = struct.unpack_from("<HHHH", data, position + 1)
            width, height = max(width, left + frame_width), max(height, top + frame_height)
            break
        if data[position] == _TRAILER:
            raise ImageError("The GIF image has no frame.")
        if data[position] == _EXTENSION:
            end = _skip_blocks(data, position + 2)
            if data[position + 1] == _GRAPHIC_CONTROL:
                control = data[position:end]
            position = end
        else:
            position += 1  # padding that some encoders write
    else:
        raise _too_many_blocks()
    if not width or not height:
        raise ImageError("The image is damaged or incomplete.")
    return Picture(
        format="GIF",
        width=width,
        height=height,
        content=data[:header] + control + data[position:],
        bytes_per_pixel=1,
        decoder_bytes=len(data),
        work=_WORK * width * height,
    )


def _palette_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _skip_blocks(data: bytes, position: int) -> int:
    for _ in range(_MAX_BLOCKS):
        length = data[position]
        position += length + 1
        if length == 0:
            return position
    raise _too_many_blocks()


def _too_many_blocks() -> ImageError:
    return ImageError(
        f"The GIF image has more than {_MAX_BLOCKS:,} blocks before its first frame; "
        "save it again with a common encoder."
    )
