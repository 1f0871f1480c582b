"""Recognise whose names the tensors of a checkpoint have, given the network that they belong to."""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keras_archs.weights.assignment import MismatchError
from keras_archs.weights.errors import CheckpointError
from keras_archs.weights.loading import CLASSIFIER, Source, fingerprint_to_be, layers_of
from keras_archs.weights.maps import NAME_MAPS
from keras_archs.weights.maps.name_map import NameMap, Tensors

if TYPE_CHECKING:
    import keras

OF_KERAS = "keras-"
"""Start of the keys of the maps whose tensors are named by layers and variables of Keras."""


@dataclass(frozen=True)
class Dialect:
    """The names of a checkpoint's tensors, and the form of the network that has all of them."""

    key: str
    """Key of the name map."""
    classes: int | None
    """Number of classes; None for a checkpoint without classifier."""


class AmbiguousDialectError(CheckpointError):
    """The tensors of a checkpoint have the names of several sources, which order channels differently.

    Attributes:
        keys: Keys of the name maps that fit.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self.keys = tuple(keys)
        super().__init__(
            f"its tensors have the names of {' and of '.join(self.keys)}, which order channels differently"
        )


class UnknownDialectError(CheckpointError):
    """The tensors of a checkpoint have the names of no source, or belong to another network.

    Attributes:
        nearest: Key of the name map that fits most tensors; None if none is comparable.
        mismatch: What does not fit with that map's names; None if none is comparable.
    """

    def __init__(self, message: str, nearest: str | None = None, mismatch: MismatchError | None = None) -> None:
        self.nearest, self.mismatch = nearest, mismatch
        super().__init__(message)


def recognise(tensors: Tensors, build: "Callable[..., keras.Model]", keys: Iterable[str]) -> Dialect:
    """Return the dialect of a checkpoint.

    Args:
        tensors: The tensors by name, in the file's order.
        build: Builds the network, with the arguments ``classes`` and ``include_top``; its variables need no values.
        keys: Keys of the name maps to try, the likeliest first.

    Raises:
        AmbiguousDialectError: If the names of several sources fit, and the values would depend on the source.
        UnknownDialectError: If no source's names fit; the error has all left-overs of the nearest.
    """
    fitting: dict[str, Dialect] = {}  # by the fingerprint of the values that they give
    mismatches: list[tuple[str, MismatchError]] = []
    problems: list[str] = []
    for key in keys:
        try:
            dialect, values = _tried(key, tensors, build)
            fitting.setdefault(values, dialect)
        except MismatchError as error:
            mismatches.append((key, error))
        except CheckpointError as error:
            problems.append(f"{key}: {error}")
        except (KeyError, AttributeError):
            continue  # the map is of a family whose networks have other layers
    if len(fitting) > 1:
        raise AmbiguousDialectError(dialect.key for dialect in fitting.values())
    for dialect in fitting.values():
        return dialect
    if mismatches:
        nearest, mismatch = min(mismatches, key=lambda pair: _extent(pair[1]))
        raise UnknownDialectError(f"with the names of {nearest}, {mismatch}", nearest, mismatch)
    raise UnknownDialectError("; ".join(problems) or "the names of its tensors are those of no known source")


def _tried(key: str, tensors: Tensors, build: "Callable[..., keras.Model]") -> tuple[Dialect, str]:
    """Return the dialect of a name map that fits, and the fingerprint of the values that it gives."""
    with warnings.catch_warnings(action="ignore"):  # loading warns again, of the map that fits
        classes = _classes(NAME_MAPS[key], tensors, build())
        model = build(classes=classes) if classes else build(include_top=False)
        digest = fingerprint_to_be(model, tensors, Source(NAME_MAPS[key], classes or 0))
    return Dialect(key, classes), digest


def _classes(names: NameMap, tensors: Tensors, model: "keras.Model") -> int | None:
    """Return the length of the tensor for the classifier's bias; None if there is no such tensor."""
    layers = layers_of(model)
    expected = {id(assignment.variable): assignment.tensor for assignment in names.assignments(layers)}
    named: Any = names.rename(tensors, list(expected.values()))
    bias = named.get(expected[id(layers[CLASSIFIER].bias)])
    return len(bias) if bias is not None and bias.ndim == 1 else None


def _extent(mismatch: MismatchError) -> int:
    return len(mismatch.missing) + len(mismatch.left_over) + len(mismatch.misshapen) + len(mismatch.misplaced)
