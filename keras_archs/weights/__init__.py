"""Find and load weights: files that Keras wrote, and published checkpoints from pip packages.

`formats` reads file formats, `maps` knows the tensor names of each source, `assignment` assigns completely or not at
all, and `checkpoints` lists the published files with their checksums.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from keras_archs.cards.origin import WeightsInfo
from keras_archs.weights.checkpoints import IMAGENET
from keras_archs.weights.formats.keras_files import KerasFile

if TYPE_CHECKING:
    import keras

__all__ = ["IMAGENET", "WeightsSource", "find_weights"]


class WeightsSource(Protocol):
    """Weights that exist but have not been read yet."""

    def load_into(self, model: "keras.Model", *, prefix: str = "") -> WeightsInfo:
        """Assign every variable of ``model``, whose layer names start with ``prefix``."""


def find_weights(weights: str | os.PathLike[str] | None, builder: str) -> WeightsSource | None:
    """Find the weights that a builder's ``weights`` argument names.

    Args:
        weights: None, ``"imagenet"``, or the path of a ``.keras`` or ``.weights.h5`` file.
        builder: Name of the function that builds the network, e.g. ``"EfficientNetLite0"``.

    Returns:
        The source to load from, or None for random initialisation.

    Raises:
        ValueError: If the builder has no such weights; the message lists the weights that exist.
        FileNotFoundError: If the file does not exist.
        ModuleNotFoundError: If the weights come with a package that is not installed.
    """
    if weights is None:
        return None
    if weights == "imagenet":
        if builder not in IMAGENET:
            raise ValueError(
                f"{builder} has no ImageNet weights in this package, only {', '.join(IMAGENET)} have some. "
                "Pass weights=None or the path of a .keras or .weights.h5 file"
            )
        checkpoint = IMAGENET[builder]
        checkpoint.path()  # report a missing package before the network is built
        return checkpoint
    if not os.fspath(weights).endswith((".keras", ".weights.h5")):
        available = "'imagenet', " if builder in IMAGENET else ""
        raise ValueError(
            f"weights={os.fspath(weights)!r} is unknown; {builder} takes None, {available}"
            "or the path of a .keras or .weights.h5 file"
        )
    path = Path(weights).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"weights={os.fspath(weights)!r}: file not found")
    return KerasFile(path)
