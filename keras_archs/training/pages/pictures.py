"""Photographs in a page, as a network saw them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from keras_archs.images.decoding import load_image
from keras_archs.images.errors import ImageError
from keras_archs.images.preprocessing import Preprocessing
from keras_archs.runtimes.machine import usable_cores

SIDE: Final = 192
"""Pixels of the longer side of a picture; 24 pictures take about 250 KB."""

_COARSE: Final = 64  # pixels; below, single pixels are to be seen


def read_pictures(files: Sequence[Path], preprocessing: Preprocessing) -> list[NDArray[np.uint8] | None]:
    """Decode images to a network's input, in parallel.

    Args:
        files: The files.
        preprocessing: Preprocessing of the network.

    Returns:
        Pixels [H, W, C] of each file; None for a file that cannot be read, or can no longer be read.
    """

    def read(file: Path) -> NDArray[np.uint8] | None:
        try:
            return load_image(file, preprocessing)
        except (ImageError, OSError):
            return None

    with ThreadPoolExecutor(usable_cores(), thread_name_prefix="pictures") as executor:
        return list(executor.map(read, files))


def picture(pixels: NDArray[np.uint8] | None, *, side: int = SIDE, kind: str = "") -> str:
    """Return a picture as an element that carries its file.

    Args:
        pixels: Pixels [H, W, C] with 1 or 3 channels; None for an empty frame.
        side: Largest number of pixels of the longer side.
        kind: Further classes of the element, for its style.
    """
    if pixels is None:
        return '<div class="none"></div>'
    shown = Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels)
    shown.thumbnail((side, side))
    coarse = max(shown.size) < _COARSE
    file = io.BytesIO()
    shown.save(file, "JPEG", quality=95 if coarse else 80, subsampling=0 if coarse else -1)
    encoded = base64.b64encode(file.getvalue()).decode("ascii")
    classes = " ".join(filter(None, [kind, "coarse" if coarse else ""]))
    attribute = f' class="{classes}"' if classes else ""
    return (
        f'<img src="data:image/jpeg;base64,{encoded}" alt=""{attribute} width="{shown.width}" height="{shown.height}">'
    )
