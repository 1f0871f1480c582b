"""The header of a WebP file: size and orientation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from keras_archs.images.errors import ImageError
from keras_archs.images.formats.picture import Picture, read_orientation

# libwebp has three canvases of four bytes per pixel at the same time, and Pillow the decoded image.
_BYTES_PER_PIXEL: Final = 17
_WORK: Final = 15
_MAX_CHUNKS: Final = 50_000
_HAS_EXIF: Final = 0x08


def is_webp(data: bytes) -> bool:
    """Whether the file begins as a WebP file does."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def inspect(data: bytes) -> Picture:
    """Read the header of a WebP file.

    Raises:
        ImageError: If the file is damaged.
        IndexError: If the file ends too early.
    """
    size, orientation = None, 1
    for kind, body in _chunks(data):
        if size is None:
            size = _read_size(kind, bytes(body[:10]))
            if kind != b"VP8X" or not body[0] & _HAS_EXIF:
                break
        elif kind == b"EXIF":
            orientation = read_orientation(bytes(body))
    if size is None:
        raise ImageError("The image is damaged or incomplete.")
    width, height = size
    return Picture(
        format="WEBP",
        width=width,
        height=height,
        content=data,
        bytes_per_pixel=_BYTES_PER_PIXEL,
        decoder_bytes=2 * len(data),
        work=_WORK * width * height,
        orientation=orientation,
    )


def _read_size(kind: bytes, body: bytes) -> tuple[int, int]:
    match kind:
        case b"VP8X":
            return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
        case b"VP8L" if body[0] == 0x2F:
            bits = int.from_bytes(body[1:5], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 " if body[3:6] == b"\x9d\x01\x2a":
            return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    raise ImageError("The image is damaged or incomplete.")


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    view, position = memoryview(data), 12
    for _ in range(_MAX_CHUNKS):
        if position + 8 > len(data):
            return
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        yield data[position : position + 4], view[position + 8 : position + 8 + length]
        position += 8 + length + length % 2
    raise ImageError(f"The WebP image has more than {_MAX_CHUNKS:,} chunks; save it again with a common encoder.")
