"""Encoded images for requests and files."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def encode(image: NDArray[np.uint8], format: str = "JPEG") -> bytes:
    """An encoded image; JPEG with the quality of a camera."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format, **({"quality": 92} if format == "JPEG" else {}))
    return buffer.getvalue()
