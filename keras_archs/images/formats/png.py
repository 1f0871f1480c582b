"""The header of a PNG file (ISO 15948): size, pixel format, transparent colour, and the chunks of the picture."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from keras_archs.images.errors import ImageError, UnsupportedImageError
from keras_archs.images.formats.picture import Picture, read_orientation

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"

# Encoders write chunks of 8 KB and more.
_MAX_CHUNKS: Final = 50_000
_ANCILLARY: Final = 0x20  # bit of the first letter
_WORK: Final = 10

_GREY, _RGB, _PALETTE, _GREY_ALPHA, _RGBA = 0, 2, 3, 4, 6
# Bytes that Pillow takes per pixel, by colour type and bits per sample.
_BYTES_PER_PIXEL: Final = {
    **{(_GREY, bits): 1 for bits in (1, 2, 4, 8)},
    **{(_PALETTE, bits): 1 for bits in (1, 2, 4, 8)},
    (_GREY, 16): 2,
    **{(colour, bits): 4 for colour in (_RGB, _GREY_ALPHA, _RGBA) for bits in (8, 16)},
}


class _Chunk(NamedTuple):
    kind: bytes
    start: int
    end: int
    body: memoryview


def inspect(data: bytes) -> Picture:
    """Read the chunks of a PNG file and keep those that its picture needs, with the checksums of these verified.

    Raises:
        ImageError: If the file is damaged, or has a part that it calls critical and that is not known.
        struct.error: If the file ends too early.
    """
    chunks = _chunks(data)
    header = next(chunks, None)
    if header is None or header.kind != b"IHDR" or len(header.body) != 13:
        raise ImageError("The image is damaged or incomplete.")
    width, height, bits, colour, *methods, interlace = struct.unpack(">IIBBBBB", header.body)
    if (colour, bits) not in _BYTES_PER_PIXEL or methods != [0, 0] or interlace > 1:
        raise UnsupportedImageError(
            f"PNG of colour type {colour} with {bits} bits, compression {methods[0]}, filter {methods[1]} and "
            f"interlace {interlace} is not supported."
        )
    palette, transparency, orientation = b"", b"", 1
    pixels: slice | None = None
    for chunk in chunks:
        if chunk.kind == b"IDAT" and (pixels is None or pixels.stop == chunk.start):
            pixels = slice(pixels.start if pixels else chunk.start, chunk.end)
        elif chunk.kind == b"eXIf":
            orientation = read_orientation(bytes(chunk.body))
        elif chunk.kind == b"PLTE" and pixels is None:
            palette = data[chunk.start : chunk.end]
        elif chunk.kind == b"tRNS" and pixels is None:
            transparency = bytes(chunk.body)
    if pixels is None or not width or not height:
        raise ImageError("The image is damaged or incomplete.")
    transparent_colour = None
    if colour == _RGB and bits == 16 and transparency:
        transparent_colour = struct.unpack_from(">HHH", transparency)
        transparency = b""
    content = [
        SIGNATURE,
        data[header.start : header.end],
        palette,
        _transparency_chunk(transparency, colour, bits),
        data[pixels],
        _encode_chunk(b"IEND", b""),
    ]
    return Picture(
        format="PNG",
        width=width,
        height=height,
        content=b"".join(content),
        # a second copy, with the low bytes of the samples, shows which pixels have a transparent 16-bit colour
        bytes_per_pixel=_BYTES_PER_PIXEL[colour, bits] * (2 if transparent_colour else 1),
        decoder_bytes=len(data),
        work=_WORK * width * height,
        orientation=orientation,
        transparent_colour=transparent_colour,
    )


def _chunks(data: bytes) -> Iterator[_Chunk]:
    """Yield the chunks that matter to the picture; stop at the end of the picture, or of the file."""
    view, position = memoryview(data), len(SIGNATURE)
    for _ in range(_MAX_CHUNKS):
        header = data[position : position + 8]
        if len(header) < 8 or header[4:] == b"IEND":
            return
        length, kind = int.from_bytes(header[:4]), header[4:]
        start, position = position, position + length + 12
        body = view[start + 8 : start + 8 + length]
        sound = zlib.crc32(body, zlib.crc32(kind)).to_bytes(4) == data[position - 4 : position]
        if kind in {b"IHDR", b"PLTE", b"IDAT", b"tRNS"}:
            if not sound:
                raise ImageError("The image is damaged or incomplete.")
            yield _Chunk(kind, start, position, body)
        elif kind == b"eXIf":
            if sound:
                yield _Chunk(kind, start, position, body)
        elif not kind[0] & _ANCILLARY:
            if not sound:
                return  # damage: the decoder tells whether the picture is complete
            raise UnsupportedImageError(f"PNG with the chunk {kind.decode(errors='replace')} is not supported.")
    raise ImageError(f"The PNG image has more than {_MAX_CHUNKS:,} chunks; save it again with a common encoder.")


def _transparency_chunk(body: bytes, colour: int, bits: int) -> bytes:
    """Return the tRNS chunk with grey levels in the range to which Pillow scales the samples, 0 to 255."""
    if not body or colour in {_GREY_ALPHA, _RGBA}:
        return b""
    if colour == _PALETTE:
        return _encode_chunk(b"tRNS", body)
    # bits above the sample's have no meaning (section 11.3.2.1)
    levels = [level & (2**bits - 1) for level in struct.unpack_from(">H" if colour == _GREY else ">HHH", body)]
    if bits < 8:
        levels = [level * 255 // (2**bits - 1) for level in levels]
    return _encode_chunk(b"tRNS", struct.pack(f">{len(levels)}H", *levels))


def _encode_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))
