"""The photographs that are sent."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")
_FINENESS = 1.2  # each layer has half the coarseness of the one before, and so much less weight


def photographs(folder: Path) -> list[bytes]:
    """Return the photographs of a folder, by name.

    Raises:
        OSError: The folder cannot be read.
        ValueError: The folder has no photographs.
    """
    photos = [path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix.lower() in _SUFFIXES]
    if not photos:
        raise ValueError(f"there are no photographs ({', '.join(_SUFFIXES)}) in {folder}")
    return photos


def painted_photograph() -> bytes:
    """Return a JPEG of 450 x 300 pixels and 32 KB: coarse and fine structures, as photographs have."""
    chance = np.random.default_rng(0)
    weights = np.array([_FINENESS**-n for n in range(1, 9)])
    layers = [
        Image.fromarray(chance.integers(0, 256, (2**n, 2**n, 3), np.uint8)).resize((450, 300)) for n in range(1, 9)
    ]
    pixels = np.tensordot(weights / weights.sum(), np.stack([np.asarray(layer) for layer in layers]), axes=1)
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()
