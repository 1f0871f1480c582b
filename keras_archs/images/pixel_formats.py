"""Any pixel format of Pillow as greyscale or RGB, a part of the image at a time; transparent pixels become white."""

from __future__ import annotations

import numpy as np
from PIL import Image

from keras_archs.images.fitting import Band


def converter(image: Image.Image) -> Band | None:
    """Return a function that converts parts of a decoded image; None if all of it is greyscale or RGB already."""
    if image.mode == "I;16":
        return lambda box: _high_bytes(image.crop(box))
    if image.has_transparency_data and not _has_unused_alpha(image):
        return lambda box: _over_white(image.crop(box))
    if image.mode in {"L", "RGB"}:
        return None
    mode = "L" if image.mode == "1" else "RGB"
    return lambda box: image.crop(box).convert(mode)


def converter_with_transparent_colour(
    high: Image.Image, low: Image.Image, transparent_colour: tuple[int, int, int]
) -> Band:
    """Return a function that converts parts of a 16-bit colour image in which one colour is transparent.

    Args:
        high: The high bytes of the samples, as RGB.
        low: The low bytes of the samples, as RGB.
        transparent_colour: Red, green and blue, 0 to 65,535.
    """
    high_bytes, low_bytes = (
        np.array([sample >> shift & 255 for sample in transparent_colour], np.uint8) for shift in (8, 0)
    )

    def convert(box: tuple[int, int, int, int]) -> Image.Image:
        pixels = np.array(high.crop(box))
        is_transparent = (pixels == high_bytes).all(axis=-1) & (np.asarray(low.crop(box)) == low_bytes).all(axis=-1)
        pixels[is_transparent] = 255
        return Image.fromarray(pixels)

    return convert


def _has_unused_alpha(image: Image.Image) -> bool:
    """Whether a bitmap has an alpha channel that is 0 everywhere, as programs write that leave the channel out."""
    return image.format == "BMP" and image.getbbox(alpha_only=True) is None


def _over_white(image: Image.Image) -> Image.Image:
    picture = image.convert("RGBA")
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(picture, mask=picture)
    return canvas


def _high_bytes(image: Image.Image) -> Image.Image:
    """Convert 16-bit greyscale to its high bytes, as Pillow does for colour; its greyscale conversion clips."""
    samples = np.asarray(image)
    grey = (samples >> 8).astype(np.uint8)
    grey[samples == image.info.get("transparency", -1)] = 255
    return Image.fromarray(grey)
