"""From a decoded image of any size and pixel format to the pixels of a network's input.

Large images are reduced by an integer factor first. Conversion to greyscale or RGB, with transparency over white, works
on bands of rows, so that memory holds one full-size image, the decoded one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, NamedTuple

from PIL import Image

from keras_archs.images.box import Box
from keras_archs.images.preprocessing import Preprocessing

Pixels = tuple[float, float, float, float]
"""A part of an image in pixels: left, top, right, bottom."""
Band = Callable[[tuple[int, int, int, int]], Image.Image]
"""Returns a part of an image, given as left, top, right, bottom, as greyscale or RGB."""

_REDUCING_GAP: Final = 3.0
# Rows are converted in bands of about this many pixels.
_BAND_PIXELS: Final = 1 << 17
# Images of at most this many pixels need not be cropped before they are converted.
_SMALL: Final = 1 << 21

# Reach of the filters, in pixels of the result or, when an image is enlarged, of the image (Pillow, `Image.resize`).
_SUPPORT: Final = {"bilinear": 1.0, "bicubic": 2.0}


class Plan(NamedTuple):
    """How an image comes to the size of the input: first reduced by whole factors, then resized with a filter."""

    size: tuple[int, int]
    """Width and height of the result."""
    box: Pixels
    """The part of the image that is kept."""
    region: tuple[int, int, int, int]
    """The part of the image that the filter reads, in whole pixels."""
    factors: tuple[int, int]
    """Factors of the reduction, across and down."""

    @property
    def reduced(self) -> tuple[int, int]:
        """Width and height after the reduction."""
        left, top, right, bottom = self.region
        return -(-(right - left) // self.factors[0]), -(-(bottom - top) // self.factors[1])

    @property
    def band_rows(self) -> int:
        """Rows of the image that are converted at a time, a multiple of the factor."""
        left, _, right, _ = self.region
        factor = self.factors[1]
        return max(1, _BAND_PIXELS // (right - left) // factor) * factor

    @property
    def memory(self) -> int:
        """Memory that fitting takes at most beside the decoded image, in bytes."""
        columns, rows = self.reduced
        width, height = self.size
        band = (self.region[2] - self.region[0]) * self.band_rows
        return 40 * band + 4 * columns * rows + 4 * width * rows + 12 * width * height


def plan(
    stored: tuple[int, int],
    extent: tuple[float, float],
    size: tuple[int, int],
    how: Preprocessing,
    part: Box | None = None,
) -> Plan:
    """Plan the way from an image to the size of the input.

    Args:
        stored: Width and height of the decoded image.
        extent: The same, unrounded, if the decoder reduced the image.
        size: Width and height of the result, before it is turned upright.
        how: Crop fraction and filter.
        part: The part of the stored image that is kept; None for the centred box of the crop fraction.
    """
    box = _centred_box(extent, size, how.crop_fraction) if part is None else _in_pixels(part, extent)
    scales = (box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1]
    # From the centre of the first pixel of the result, which is half a step inside the box.
    across, down = (_SUPPORT[how.interpolation] * max(scale, 1) - scale / 2 for scale in scales)
    region = (
        max(0, int(box[0] - across)),
        max(0, int(box[1] - down)),
        min(stored[0], math.ceil(box[2] + across)),
        min(stored[1], math.ceil(box[3] + down)),
    )
    factors = int(scales[0] / _REDUCING_GAP) or 1, int(scales[1] / _REDUCING_GAP) or 1
    # Pillow resizes rows or columns first, as the size of the image suggests; the order changes some pixels a little.
    # Uncropped, images of all pixel formats give the same pixels.
    if factors == (1, 1) and stored[0] * stored[1] <= _SMALL:
        region = (0, 0, *stored)
    return Plan(size, box, region, factors)


def fit(image: Image.Image, band: Band | None, plan: Plan, interpolation: str) -> Image.Image:
    """Bring a decoded image to the size of the input.

    Args:
        image: The decoded image.
        band: Returns a part of the image as greyscale or RGB; None if the image has this format already.
        plan: Where from and how far.
        interpolation: The filter.

    Returns:
        A greyscale or RGB image of the size of the plan.
    """
    left, top, right, bottom = plan.region
    if band is None and plan.factors == (1, 1):
        reduced, left, top = image, 0, 0
    elif band is None:
        reduced = image.reduce(plan.factors, plan.region)
    else:
        parts = (
            band((left, row, right, min(row + plan.band_rows, bottom))).reduce(plan.factors)
            for row in range(top, bottom, plan.band_rows)
        )
        first = next(parts)
        reduced = Image.new(first.mode, plan.reduced)
        reduced.paste(first, (0, 0))
        for number, part in enumerate(parts, start=1):
            reduced.paste(part, (0, number * plan.band_rows // plan.factors[1]))
    across, down = plan.factors
    box = (
        (plan.box[0] - left) / across,
        (plan.box[1] - top) / down,
        (plan.box[2] - left) / across,
        (plan.box[3] - top) / down,
    )
    return reduced.resize(plan.size, Image.Resampling[interpolation.upper()], box)


def _in_pixels(part: Box, extent: tuple[float, float]) -> Pixels:
    width, height = extent
    return part.left * width, part.top * height, part.right * width, part.bottom * height


def _centred_box(extent: tuple[float, float], size: tuple[int, int], fraction: float) -> Pixels:
    """Return the largest centred box with the aspect ratio of `size`, shrunk to `fraction` of its sides."""
    scale = fraction * min(extent[0] / size[0], extent[1] / size[1])
    left, top = ((length - scale * side) / 2 for length, side in zip(extent, size, strict=True))
    # Rounding could move the box over the border, where Pillow raises an error.
    left, top = max(left, 0.0), max(top, 0.0)
    return left, top, extent[0] - left, extent[1] - top
