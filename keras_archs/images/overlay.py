"""Heat maps as pictures. Pillow and NumPy only, so that a gateway can draw them too."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_STOPS = np.linspace(0, 1, 5)
# From black over purple and orange to light yellow: readable in greyscale and by colour-blind eyes.
_COLOURS = np.array([[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]], np.float64)

_LUMINANCE = np.array([0.299, 0.587, 0.114])


def overlay(image: NDArray[np.uint8], heat: NDArray[np.floating], strength: float = 0.6) -> Image.Image:
    """Lay a heat map over a picture, of which the brightness is left.

    Args:
        image: Picture of shape (height, width, 3), 0 to 255.
        heat: Map of shape (rows, columns), of any size; its lowest value stays grey, its highest glows.
        strength: How much of the picture gives way where it is hottest, 0 to 1.

    Returns:
        An RGB picture of the image's size.

    Raises:
        ValueError: For other shapes, or a strength outside 0 to 1.
    """
    if image.ndim != 3 or image.shape[-1] != 3 or heat.ndim != 2:
        raise ValueError(
            f"overlay() takes a picture of shape (height, width, 3) and a map of shape (rows, columns); "
            f"got {image.shape} and {heat.shape}"
        )
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must be from 0 to 1; got {strength}")
    height, width, _ = image.shape
    low, high = float(heat.min()), float(heat.max())
    even = (heat - low) / (high - low) if high > low else np.zeros_like(heat)
    grid = Image.fromarray(even.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
    glow = np.clip(np.asarray(grid, np.float64), 0, 1)
    colours = np.stack([np.interp(glow, _STOPS, channel) for channel in _COLOURS.T], axis=-1)
    opacity = strength * np.sqrt(glow)[..., np.newaxis]
    grey = image @ _LUMINANCE
    mixed = (1 - opacity) * grey[..., np.newaxis] + opacity * colours
    return Image.fromarray(np.round(mixed).astype(np.uint8))
