"""Assign a checkpoint's tensors to a network's variables, completely or not at all."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keras_archs.weights.errors import CheckpointError

if TYPE_CHECKING:
    import keras

_SHOWN = 12
"""Number of names of each kind in the text of an error; its attributes have all names."""


class Assignment(NamedTuple):
    """One tensor of a checkpoint and the variable that receives its values."""

    tensor: str
    """Name of the tensor."""
    variable: "keras.Variable"
    convert: Callable[[NDArray[Any]], NDArray[Any]]
    """From the tensor's values to the variable's: the order of axes, and in some sources of channels."""


class MismatchError(CheckpointError):
    """The tensors of a checkpoint and the variables of a network do not match one to one.

    Attributes:
        missing: Variables without a tensor, each with the expected name of its tensor where that is known.
        left_over: Tensors without a variable.
        misshapen: Pairs whose shapes differ, with both shapes.
        misplaced: Tensors at the place of others, where a source's order counts.
    """

    def __init__(
        self,
        missing: Sequence[str],
        left_over: Sequence[str],
        misshapen: Sequence[str] = (),
        misplaced: Sequence[str] = (),
    ) -> None:
        self.missing, self.left_over = tuple(missing), tuple(left_over)
        self.misshapen, self.misplaced = tuple(misshapen), tuple(misplaced)
        kinds = {
            "variables without a tensor": self.missing,
            "tensors without a variable": self.left_over,
            "shapes that differ": self.misshapen,
            "tensors out of order": self.misplaced,
        }
        listed = "; ".join(f"{len(names)} {kind}: {shown(names)}" for kind, names in kinds.items() if names)
        super().__init__(f"the checkpoint does not fit the network: {listed}")


def shown(names: Sequence[str]) -> str:
    """Return names for the text of an error: the first of them, and the number of the rest."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def assign_all(
    variables: "Iterable[keras.Variable]", tensors: Mapping[str, NDArray[Any]], assignments: Iterable[Assignment]
) -> None:
    """Assign every tensor to exactly one variable, and to every variable exactly one tensor.

    Args:
        variables: All variables to assign.
        tensors: All tensors to use, by name.
        assignments: Which tensor belongs to which variable.

    Raises:
        MismatchError: If a tensor or variable is missing or left over, or shapes differ; no variable changes.
    """
    for variable, value in matched(variables, tensors, assignments):
        variable.assign(value)


def matched(
    variables: "Iterable[keras.Variable]", tensors: Mapping[str, NDArray[Any]], assignments: Iterable[Assignment]
) -> "list[tuple[keras.Variable, NDArray[np.float32]]]":
    """Return every variable with the values of its tensor; the arguments and the error are those of `assign_all`."""
    waiting = {id(variable): variable for variable in variables}
    left_over, pairs = dict.fromkeys(tensors), []
    missing, misshapen = [], []
    for name, variable, convert in assignments:
        if waiting.pop(id(variable), None) is None:
            raise ValueError(f"{variable.path} is assigned twice, or does not belong to the network")
        if name not in left_over:
            missing.append(f"{variable.path} (expects {name})")
            continue
        del left_over[name]
        value = _converted(tensors[name], convert)
        if value is not None and value.shape == tuple(variable.shape):
            pairs.append((variable, value))
        else:
            got = tensors[name].shape if value is None else value.shape
            misshapen.append(f"{variable.path} has {tuple(variable.shape)}, {name} gives {got}")
    missing += [variable.path for variable in waiting.values()]
    if missing or left_over or misshapen:
        raise MismatchError(missing, list(left_over), misshapen)
    return pairs


def _converted(tensor: NDArray[Any], convert: Callable[[NDArray[Any]], NDArray[Any]]) -> NDArray[np.float32] | None:
    """Return the values of the variable in float32, or None if the tensor has not the axes or channels for it."""
    try:
        return np.asarray(convert(np.asarray(tensor, np.float32)), np.float32)
    except (ValueError, IndexError):
        return None
