"""Assign a checkpoint's tensors to a network's variables, completely or not at all."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keras_archs.weights.errors import CheckpointError

if TYPE_CHECKING:
    import keras


class Assignment(NamedTuple):
    """One tensor of a checkpoint and the variable that receives its values."""

    tensor: str
    """Name of the tensor."""
    variable: "keras.Variable"
    axes: tuple[int, ...]
    """Order of the tensor's axes in the variable, as ``numpy.transpose`` takes it."""


def assign_all(
    variables: "Iterable[keras.Variable]", tensors: Mapping[str, NDArray[Any]], assignments: Iterable[Assignment]
) -> None:
    """Assign every tensor to exactly one variable, and to every variable exactly one tensor.

    Args:
        variables: All variables to assign.
        tensors: All tensors to use, by name.
        assignments: Which tensor belongs to which variable.

    Raises:
        CheckpointError: If a tensor or variable is missing or left over, or shapes differ; no variable changes.
    """
    variables, unused, values = list(variables), set(tensors), {}
    for name, variable, axes in assignments:
        if name not in unused:
            raise CheckpointError(f"the checkpoint has no tensor {name} for {variable.path}")
        unused.remove(name)
        value = np.transpose(tensors[name], axes)
        if value.shape != tuple(variable.shape):
            raise CheckpointError(f"{variable.path} has shape {variable.shape}, but {name} gives {value.shape}")
        values[variable.path] = value
    unassigned = [variable.path for variable in variables if variable.path not in values]
    if unused or unassigned:
        raise CheckpointError(f"tensors without a variable: {sorted(unused)}; variables without a tensor: {unassigned}")
    for variable in variables:
        variable.assign(values[variable.path])
