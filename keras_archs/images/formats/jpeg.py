"""The header of a JPEG file (ITU T.81): size, orientation, and the memory and work of its scans."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from keras_archs.images.errors import ImageError, UnsupportedImageError
from keras_archs.images.formats.picture import Picture, read_orientation

SIGNATURE: Final = b"\xff\xd8\xff"

# Progressive encoders write about ten scans, with one to three segments before each.
_MAX_SCANS: Final = 100
_MAX_SEGMENTS: Final = 10_000

_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_APP0, _APP1, _APP14, _APP15, _COM = 0xE0, 0xE1, 0xEE, 0xEF, 0xFE
_STANDALONE: Final = frozenset({0x01, _SOI, *range(0xD0, 0xD8)})
_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
_PROGRESSIVE: Final = frozenset({0xC2, 0xCA})
_ARITHMETIC: Final = frozenset({0xC9, 0xCA})
_UNSUPPORTED: Final = {
    **dict.fromkeys((0xC3, 0xCB), "lossless JPEG"),
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF, 0xDE, 0xDF), "hierarchical JPEG"),
    0xF7: "JPEG-LS",
}
# Pillow fails on shorter segments of these two kinds, and the decoder ignores them.
_SHORTEST: Final = {_APP0: (b"JFIF\0", 14), _APP14: (b"Adobe", 12)}

# In compressed data, FF is followed by 00 or by a restart marker.
_MARKER: Final = re.compile(rb"\xff[^\x00\xff]")
_MARKER_IN_SCAN: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
# A search holds the interpreter's lock, so it covers this many bytes at a time.
_WINDOW: Final = 1 << 16

_BLOCK: Final = 64  # coefficients
_COEFFICIENT_BYTES: Final = 2
# Measured on images without details, whose scans take few bytes.
_ARITHMETIC_WORK: Final = 4


class _Component(NamedTuple):
    blocks: int
    """Blocks of a scan of this component."""
    stored: int
    """Blocks that the decoder keeps if the image has several scans."""


class _Frame(NamedTuple):
    marker: int
    width: int
    height: int
    components: dict[int, _Component]


class _Segment(NamedTuple):
    marker: int
    start: int
    end: int


def inspect(data: bytes) -> Picture:
    """Read the header of a JPEG file, and the headers of its scans up to the end of the first picture.

    Raises:
        ImageError: If the file is damaged, or of a kind of JPEG that is not decoded.
        IndexError: If the file ends too early.
    """
    frame, orientation, kept = None, None, [data[:2]]
    for segment in _segments(data, 2):
        marker, start, end = segment
        body = data[start + 4 : end]
        if marker in {_SOS, _EOI}:
            break
        if kind := _UNSUPPORTED.get(marker):
            raise UnsupportedImageError(f"{kind} is not supported; save the image as baseline or progressive JPEG.")
        if marker in _FRAMES:
            if frame is not None:
                raise ImageError("The image is damaged: it has two frame headers.")
            frame = _read_frame(marker, body)
        elif marker == _APP1 and orientation is None and body.startswith(b"Exif\0"):
            orientation = read_orientation(body)
        if _is_needed(marker, body):
            kept.append(data[start:end])
    else:
        marker = _EOI
    if frame is None or marker == _EOI:
        raise ImageError("The image is damaged or incomplete.")
    blocks, coefficients = _read_scans(data, start, frame)
    return Picture(
        format="JPEG",
        width=frame.width,
        height=frame.height,
        content=b"".join([*kept, data[start:]]),
        bytes_per_pixel=1 if len(frame.components) == 1 else 4,
        decoder_bytes=coefficients + len(data),
        work=blocks * _BLOCK * (_ARITHMETIC_WORK if frame.marker in _ARITHMETIC else 1),
        shrinks=True,
        orientation=orientation or 1,
    )


def _segments(data: bytes, position: int) -> Iterator[_Segment]:
    """Yield the segments from `position` on, up to the end of the picture or of the file."""
    pattern = _MARKER
    for _ in range(_MAX_SEGMENTS):
        start = _search(pattern, data, position)
        if start is None:
            return
        marker = data[start + 1]
        if marker in _STANDALONE:
            position = start + 2
            continue
        if marker == _EOI:
            yield _Segment(marker, start, start + 2)
            return
        length = int.from_bytes(data[start + 2 : start + 4])
        if length < 2:
            raise ImageError("The image is damaged or incomplete.")
        position = start + 2 + length
        yield _Segment(marker, start, position)
        pattern = _MARKER_IN_SCAN if marker == _SOS else _MARKER
    raise ImageError(f"The JPEG image has more than {_MAX_SEGMENTS:,} segments; save it again with a common encoder.")


def _search(pattern: re.Pattern[bytes], data: bytes, position: int) -> int | None:
    for start in range(position, len(data), _WINDOW):
        if found := pattern.search(data, start, start + _WINDOW + 1):
            return found.start()
    return None


def _read_frame(marker: int, body: bytes) -> _Frame:
    precision, height, width, count = body[0], int.from_bytes(body[1:3]), int.from_bytes(body[3:5]), body[5]
    if precision != 8:
        raise UnsupportedImageError(f"JPEG with {precision} bits per sample is not supported; 8 bits are.")
    if count not in {1, 3, 4}:
        raise UnsupportedImageError(f"JPEG with {count} components is not supported; 1, 3 and 4 are.")
    if height == 0:
        raise UnsupportedImageError("JPEG that tells its height after the first scan is not supported.")
    factors = [(body[6 + 3 * i], body[7 + 3 * i] >> 4, body[7 + 3 * i] & 15) for i in range(count)]
    across, down = (max(factor[axis] for factor in factors) for axis in (1, 2))
    if width == 0 or not all(1 <= h <= 4 and 1 <= v <= 4 for _, h, v in factors):
        raise ImageError("The image is damaged or incomplete.")
    components = {}
    for identifier, h, v in factors:
        columns, rows = -(-width * h // (8 * across)), -(-height * v // (8 * down))
        stored = -(-columns // h) * h * (-(-rows // v) * v)
        components[identifier] = _Component(columns * rows, stored)
    return _Frame(marker, width, height, components)


def _read_scans(data: bytes, position: int, frame: _Frame) -> tuple[int, int]:
    """Return the blocks that all scans decode, and the bytes that the decoder keeps from scan to scan."""
    blocks = scans = 0
    for marker, start, end in _segments(data, position):
        if marker != _SOS:
            continue
        body = data[start + 4 : end]
        components = [frame.components.get(identifier) for identifier in body[1 : 1 + 2 * body[0] : 2]]
        blocks += sum(component.blocks for component in components if component)
        scans += 1
        if frame.marker not in _PROGRESSIVE and len(components) == len(frame.components):
            return blocks, 0  # the only scan
        if scans > _MAX_SCANS:
            raise ImageError(f"The JPEG image has more than {_MAX_SCANS} scans; save it again with a common encoder.")
    stored = sum(component.stored for component in frame.components.values())
    return blocks, stored * _BLOCK * _COEFFICIENT_BYTES


def _is_needed(marker: int, body: bytes) -> bool:
    """Whether the decoder needs a segment: of application segments and comments, it needs two on the colour space."""
    if marker in _SHORTEST:
        prefix, length = _SHORTEST[marker]
        return body.startswith(prefix) and len(body) >= length
    return not (_APP0 <= marker <= _APP15 or marker == _COM)
