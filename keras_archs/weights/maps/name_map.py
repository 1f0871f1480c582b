"""The form of a name map: from the tensor names of one source to the variables of our networks."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from keras_archs.weights.assignment import Assignment

if TYPE_CHECKING:
    import keras

Layers = Mapping[str, "keras.Layer"]
"""Layers of a network by name, without the prefix, in the network's order."""
Tensors = Mapping[str, NDArray[Any]]
"""Tensors of a checkpoint by name, in the file's order."""


def _unchanged(tensors: Tensors, expected: Iterable[str]) -> Tensors:
    return tensors


@dataclass(frozen=True)
class NameMap:
    """The names of one source for the networks of one kind."""

    assignments: Callable[[Layers], Iterable[Assignment]]
    """Yields, for the layers that the network has, which tensor belongs to which variable."""
    top: tuple[str, ...]
    """Starts of the names of the tensors that only a network with its classifier has."""
    rename: Callable[[Tensors, Iterable[str]], Tensors] = _unchanged
    """Brings the names of a file to those of ``assignments``, given the expected names in order, where a source has
    spelt its names in several ways."""
    look_alikes: str = ""
    """Other networks whose tensors have the same names and shapes, in words, and what they do differently."""
