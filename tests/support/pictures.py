"""Image files for tests: as Pillow writes them, unusual, damaged, or far larger decoded than encoded."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from keras_archs.images.preprocessing import Preprocessing

Pixels = NDArray[np.uint8]
Chunk = tuple[bytes, bytes]

RGB = Preprocessing(size=(224, 224), mean=(127.0,) * 3, std=(128.0,) * 3)
GREY = Preprocessing(size=(28, 28), mean=(33.3,), std=(78.6,), crop_fraction=1.0)

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def unresized(height: int, width: int, channels: int = 3) -> Preprocessing:
    """Return a preprocessing that keeps every pixel of an image of this size."""
    return Preprocessing((height, width), (0.0,) * channels, (1.0,) * channels, crop_fraction=1.0)


def distance(left: NDArray[Any], right: NDArray[Any]) -> float:
    """Return the mean absolute difference."""
    return float(np.abs(left.astype(float) - right.astype(float)).mean())


def encode(image: Image.Image, file_format: str, **options: Any) -> bytes:
    """Return an image as a file, written by Pillow."""
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def png_chunk(kind: bytes, data: bytes, *, checksum: int | None = None) -> bytes:
    """Return a chunk of a PNG file; `checksum` replaces the right one."""
    crc = zlib.crc32(kind + data) if checksum is None else checksum
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


def png(rows: bytes, size: tuple[int, int], bits: int, colour: int, *extra: Chunk, interlace: int = 0) -> bytes:
    """Return a PNG file.

    Args:
        rows: The picture's rows, each after its filter type.
        size: Width and height.
        bits: Bits per sample.
        colour: Colour type: 0 grey, 2 RGB, 3 palette, 4 grey with alpha, 6 RGB with alpha.
        extra: Chunks before the picture.
        interlace: 1 for a file in seven passes.
    """
    header = struct.pack(">IIBBBBB", *size, bits, colour, 0, 0, interlace)
    chunks = [(b"IHDR", header), *extra, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return PNG_SIGNATURE + b"".join(png_chunk(*chunk) for chunk in chunks)


def png_of_samples(samples: NDArray[np.uint16], colour: int, *extra: Chunk, bits: int = 16) -> bytes:
    """Return a PNG file of these samples, of shape (height, width) or (height, width, channels)."""
    height, width = samples.shape[:2]
    if bits == 16:
        packed = [row.astype(">u2").tobytes() for row in samples]
    else:
        shifts = np.arange(bits - 1, -1, -1)
        packed = [np.packbits((row.reshape(-1, 1) >> shifts) & 1).tobytes() for row in samples]
    return png(b"".join(b"\0" + row for row in packed), (width, height), bits, colour, *extra)


def empty_png(width: int, height: int, bits: int, colour: int, *extra: Chunk) -> bytes:
    """Return a PNG file of some kilobytes in which all samples are 0."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row_bytes = 1 + -(-width * channels * bits // 8)
    compressor = zlib.compressobj(9)
    rows = b"".join(compressor.compress(bytes(row_bytes * 64)) for _ in range(height // 64))
    rows += compressor.compress(bytes(row_bytes * (height % 64))) + compressor.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), *extra, (b"IDAT", rows), (b"IEND", b"")]
    return PNG_SIGNATURE + b"".join(png_chunk(*chunk) for chunk in chunks)


def with_chunks(file: bytes, *chunks: bytes) -> bytes:
    """Return a PNG file with more chunks behind its header."""
    end = len(PNG_SIGNATURE) + 25
    return file[:end] + b"".join(chunks) + file[end:]


def with_segments(file: bytes, *segments: Chunk) -> bytes:
    """Return a JPEG file with more segments, each a marker and its data, behind its start."""
    added = b"".join(marker + struct.pack(">H", len(data) + 2) + data for marker, data in segments)
    return file[:2] + added + file[2:]


def with_scans(file: bytes, scans: int) -> bytes:
    """Return a progressive JPEG file with its last scan repeated, up to this many scans."""
    last = file[file.rindex(b"\xff\xda") : -2]
    return file[:-2] + last * (scans - file.count(b"\xff\xda")) + file[-2:]


def bmp(
    pixels: bytes,
    size: tuple[int, int],
    bits: int,
    compression: int = 0,
    masks: Sequence[int] = (),
    *,
    header_size: int = 40,
    palette: bytes = b"",
) -> bytes:
    """Return a Windows bitmap; masks of the channels are behind a header of 40 bytes, or in a longer one."""
    colours = len(palette) // 4
    header = struct.pack("<IiiHHIIiiII", header_size, *size, 1, bits, compression, len(pixels), 0, 0, colours, 0)
    header += struct.pack(f"<{len(masks)}I", *masks)
    header = header.ljust(header_size, b"\0") + palette
    offset = 14 + len(header)
    return b"BM" + struct.pack("<IHHI", offset + len(pixels), 0, 0, offset) + header + pixels
