"""Find and load weights: published weights of a network, and files that Keras wrote.

`download` brings a published file to this machine, `formats` reads file formats, `maps` knows the tensor names of each
source, `loading` and `assignment` bring tensors and network together completely or not at all, and `published` goes the
whole way.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from keras_archs.cards.origin import WeightsInfo
from keras_archs.weights.arguments import BuilderCall
from keras_archs.weights.formats.keras_files import KerasFile
from keras_archs.weights.published import PublishedWeights

if TYPE_CHECKING:
    import keras

__all__ = ["BuilderCall", "WeightsSource", "find_weights"]

_OWN = (".keras", ".weights.h5")
"""Ends of the names of files that a builder loads."""
_FOREIGN = (".h5", ".pth", ".pt", ".th", ".bin", ".safetensors", ".zip")
"""Ends of the names of files that `keras-archs weights convert` may convert."""


class WeightsSource(Protocol):
    """Weights that exist but have not been read yet."""

    @property
    def arguments(self) -> Mapping[str, Any]:
        """Arguments that the builder has to take in place of its defaults."""

    def load_into(self, model: "keras.Model", *, prefix: str = "") -> WeightsInfo:
        """Assign every variable of ``model``, whose layer names start with ``prefix``."""


def find_weights(call: BuilderCall) -> WeightsSource | None:
    """Find the weights that a builder's ``weights`` argument names.

    Args:
        call: The call of the builder. Its ``weights`` are None, ``"imagenet"`` or ``"cifar10"`` for the network's
            default, the tag of other published weights, or the path of a ``.keras`` or ``.weights.h5`` file.

    Returns:
        The source to load from, or None for random initialisation.

    Raises:
        ValueError: If the network has no such weights, or if they need other arguments; the message says which.
        DownloadError: If no place has the file of published weights.
        FileNotFoundError: If the path does not exist.
    """
    weights = call.arguments["weights"]
    if weights is None:
        return None
    path = Path(weights).expanduser()
    if path.name.endswith(_OWN):
        if not path.is_file():
            raise FileNotFoundError(f"weights={os.fspath(weights)!r}: file not found")
        return KerasFile(path)
    if not isinstance(weights, str) or path.name.endswith(_FOREIGN):
        raise ValueError(
            f"weights={os.fspath(weights)!r}: {call.builder} loads .keras and .weights.h5 files; convert a "
            f"checkpoint of another format: keras-archs weights convert --arch NETWORK {path.name} out.weights.h5"
        )
    return PublishedWeights.find(weights, call)
