"""Paths of images with their classes: by name, and by index in a network's output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class NamedImages:
    """Paths of images, each with the name of its class as the folder or the table spells it."""

    root: Path
    """Folder that the paths are relative to."""
    paths: Sequence[str]
    """Path of each image; at least one."""
    names: Sequence[str]
    """Name of each class that has an image."""
    positions: NDArray[np.int32]
    """Position in `names` for each image."""
    origin: Literal["class folders", "labels in the table"]
    """What the names are."""
    empty: Sequence[str] = ()
    """Class folders without an image."""
    ignored: Sequence[str] = ()
    """Paths of files that are no images by their suffix, or are in no class folder, and of links to folders in class
    folders."""


@dataclass(frozen=True)
class LabelledImages:
    """Paths of images, each with the index of its class in a network's output."""

    root: Path
    """Folder that the paths are relative to."""
    paths: Sequence[str]
    """Path of each image; at least one."""
    classes: NDArray[np.int32]
    """Index of the right class for each image."""

    def take(self, positions: NDArray[np.intp]) -> LabelledImages:
        """Return the images at some positions."""
        return LabelledImages(self.root, [self.paths[place] for place in positions.tolist()], self.classes[positions])
