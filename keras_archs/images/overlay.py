"""Draw heat maps over photographs, with Pillow and NumPy only, so that a gateway can do so too."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_STOPS = np.linspace(0, 1, 5)
# From black over purple and orange to light yellow: readable in greyscale and with colour blindness.
_COLOURS = np.array([[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]], np.float64)

_LUMINANCE = np.array([0.299, 0.587, 0.114])


def overlay(image: NDArray[np.uint8], heat: NDArray[np.floating], strength: float = 0.6) -> Image.Image:
    """Draw a heat map in colour over a greyscale version of an image.

    Args:
        image: Pixels of shape (height, width, 3), 0 to 255.
        heat: Map of shape (rows, columns), resized to the image; its lowest value is transparent.
        strength: Opacity of the colours at the highest value of the map, 0 to 1.

    Returns:
        An RGB image of the same height and width.

    Raises:
        ValueError: If a shape or ``strength`` is not allowed.
    """
    if image.ndim != 3 or image.shape[-1] != 3 or heat.ndim != 2:
        raise ValueError(
            f"overlay() takes an image of shape (height, width, 3) and a heat map of shape (rows, columns); "
            f"got {image.shape} and {heat.shape}"
        )
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must be from 0 to 1; got {strength}")
    height, width, _ = image.shape
    low, high = float(heat.min()), float(heat.max())
    normalised = (heat - low) / (high - low) if high > low else np.zeros_like(heat)
    grid = Image.fromarray(normalised.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
    intensity = np.clip(np.asarray(grid, np.float64), 0, 1)
    colours = np.stack([np.interp(intensity, _STOPS, channel) for channel in _COLOURS.T], axis=-1)
    opacity = strength * np.sqrt(intensity)[..., np.newaxis]
    grey = image @ _LUMINANCE
    mixed = (1 - opacity) * grey[..., np.newaxis] + opacity * colours
    return Image.fromarray(np.round(mixed).astype(np.uint8))
