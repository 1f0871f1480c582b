"""Photographs and drawings that the tests of images share."""

import numpy as np
import pytest
import skimage.data
from PIL import Image


@pytest.fixture(scope="session")
def cat() -> Image.Image:
    return Image.fromarray(skimage.data.chelsea()[:300, :450])


@pytest.fixture(scope="session")
def blobs() -> Image.Image:
    """Image that is smooth, so that chroma subsampling and palettes change little, and different in every corner."""
    y, x = np.mgrid[0:64, 0:96].astype(np.float64)
    channels = [x / 95, y / 63, 0.5 + 0.5 * np.sin(x / 20) * np.cos(y / 15)]
    return Image.fromarray((255 * np.stack(channels, axis=-1)).round().astype(np.uint8))
