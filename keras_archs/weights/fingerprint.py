"""Fingerprints of weights, to tell whether a model still has the weights that were loaded."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras
    from numpy.typing import ArrayLike


def fingerprint(values: "Iterable[tuple[str, ArrayLike]]") -> str:
    """Return the SHA-256 of named values as hexadecimal digits.

    Order does not matter, and neither does the file that the values came from: the same weights in a ``.pth``, a
    ``.safetensors`` and an ``.h5`` file have one fingerprint as soon as they are converted.

    Args:
        values: Pairs of a variable's name and its values, which are compared in float32.
    """
    digest = hashlib.sha256()
    for name, value in sorted(values, key=lambda pair: pair[0]):
        numbers = np.ascontiguousarray(value, dtype="<f4")
        digest.update(f"{name} {numbers.shape}\n".encode())
        digest.update(numbers.data)
    return digest.hexdigest()


def fingerprint_of(weighted: "keras.Model | keras.Layer", prefix: str = "") -> str:
    """Return the fingerprint of the weights of a model or layer.

    Args:
        weighted: The model or layer. Moving statistics count; states of random numbers do not.
        prefix: Prefix of the layers' names, which does not count.
    """
    return fingerprint(named(((variable, variable) for variable in weighted.weights), weighted, prefix))


def named(
    pairs: "Iterable[tuple[keras.Variable, ArrayLike]]", weighted: "keras.Model | keras.Layer", prefix: str
) -> "Iterator[tuple[str, ArrayLike]]":
    """Yield the names and values that a fingerprint is made of.

    Args:
        pairs: Every variable with its values.
        weighted: The model or layer that the variables belong to.
        prefix: Prefix of the layers' names, which is left out.
    """
    for variable, value in pairs:
        yield variable.path.removeprefix(prefix), value
    for name, factor in branch_factors(weighted).items():
        yield f"{name.removeprefix(prefix)}/factor", factor


def branch_factors(weighted: "keras.Model | keras.Layer") -> dict[str, float]:
    """Return the factors by which inference multiplies branches, by the name of the layer that holds the branch.

    They are those of stochastic depth per mini-batch, where they are as much a part of the answer as the weights.
    """
    holders = (layer for layer in getattr(weighted, "layers", ()) if hasattr(layer, "branch"))
    return {layer.name: 1 - layer.rate for layer in holders if hasattr(layer, "rate")}
