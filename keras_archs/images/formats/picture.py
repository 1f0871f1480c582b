"""What the header of an image file says, and what decoding the file will take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from PIL import Image

_ORIENTATION_TAG = 0x0112
_EXIF_PREFIX = b"Exif\0\0"

SWAPPED: Final = frozenset({5, 6, 7, 8})
"""EXIF orientations in which height and width are swapped."""


@dataclass(frozen=True)
class Picture:
    """An image file whose header was read; no pixel was decoded."""

    format: str
    """Name of the format in Pillow: JPEG, PNG, WEBP, BMP or GIF."""
    width: int
    """Width as stored, in pixels."""
    height: int
    """Height as stored, in pixels."""
    content: bytes
    """The file without the metadata that the decoder does not need; damaged metadata therefore do no harm."""
    bytes_per_pixel: int
    """Bytes in memory for each pixel of the decoded image, full-size copies of the decoder included."""
    decoder_bytes: int
    """Bytes that decoding takes beside the decoded image: copies of the file, coefficients of all scans."""
    work: int
    """Steps that decoding takes; a step is a sample of a JPEG scan without details, about 0.7 ns."""
    shrinks: bool = False
    """Whether the decoder can reduce the image to a half, a quarter or an eighth of its sides."""
    orientation: int = 1
    """EXIF orientation, 1 to 8."""
    transparent_colour: tuple[int, int, int] | None = None
    """The 16-bit colour that is transparent; None if no colour is, or if the decoder finds out itself."""

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.width * self.height

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height of the image as it is looked at, in pixels."""
        return (self.height, self.width) if self.orientation in SWAPPED else (self.width, self.height)


def read_orientation(exif: bytes) -> int:
    r"""Return the orientation, 1 to 8, that EXIF metadata tell; 1 if they tell none or are damaged.

    Args:
        exif: The metadata, with or without the prefix ``b"Exif\0\0"``.
    """
    metadata = Image.Exif()
    try:
        metadata.load(_EXIF_PREFIX + exif.removeprefix(_EXIF_PREFIX))
        orientation = int(metadata.get(_ORIENTATION_TAG, 1))
    except Exception:  # noqa: BLE001  the image may be sound although its metadata are damaged
        return 1
    return orientation if 1 <= orientation <= 8 else 1
