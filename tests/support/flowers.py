"""Small pictures of flowers of one colour each, in class folders, and the options that train on them in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 16
QUICK = ("--from-scratch", "--recipe", "resnet-cifar", "--network", "resnet-20", "--image-size", str(SIDE))
"""Options that train the smallest network of the registry on small images."""


def paint_flowers(folder: Path, names: tuple[str, ...] = ("rose", "tulip"), images: int = 8) -> Path:
    """Write noisy pictures of a colour for each class."""
    random = np.random.default_rng(0)
    for shade, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for number in range(images):
            pixels = random.integers(0, 80, (SIDE, SIDE, 3))
            pixels[..., shade % 3] += 150
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number}.png")
    return folder
