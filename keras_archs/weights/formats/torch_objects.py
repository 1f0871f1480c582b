"""What Torch's two checkpoint formats have in common: the pickle of a state dict.

Tensors in the pickle refer to storages by key, with an offset and a stride for each axis; the numbers of the storages
are elsewhere in the file. Of what Torch can pickle, the reader accepts the parts of a state dict only: dictionaries,
tensors, storages and plain values. Every number that a file states is checked before it is used.
"""

import math
from collections.abc import Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keras_archs.weights.errors import CheckpointError
from keras_archs.weights.formats.pickles import WEIGHTS_ALONE, Constructor, Global, read_pickle
from keras_archs.weights.formats.precision import BFLOAT16

_MAX_DIMENSIONS = 32
_MAX_ELEMENTS = 2**40
"""Product of a tensor's sides, where an empty side counts as 1."""

_DTYPES: dict[str, np.dtype[Any]] = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": BFLOAT16,
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}

_PLACES = ("state_dict", "state_dict_ema", "model", "net")
"""Where training scripts put the state dict, beside plain values such as the epoch."""


class Storage(NamedTuple):
    """An array of numbers in the file."""

    key: str
    dtype: np.dtype[Any]
    length: int

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self.length * self.dtype.itemsize


class Tensor(NamedTuple):
    """A view of a storage: offset and strides count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def read_object(file: BinaryIO) -> Any:
    """Read one pickle that Torch wrote, from the file's position.

    Returns:
        Plain values, and instances of `Tensor` for tensors.

    Raises:
        CheckpointError: If the pickle is damaged, too large, or contains anything else.
    """
    return read_pickle(file, CONSTRUCTORS, _storage)


def find_state_dict(saved: Any) -> dict[str, Tensor]:
    """Find the state dict in what Torch saved: the object itself, or an item of it beside plain values.

    Raises:
        CheckpointError: If there is no state dict, or more than one, or anything else that could be weights.
    """
    if not isinstance(saved, dict):
        raise CheckpointError(f"the checkpoint does not contain a state dict; {WEIGHTS_ALONE}")
    places = [place for place in _PLACES if isinstance(saved.get(place), dict)]
    if len(places) > 1:
        raise CheckpointError(f"the checkpoint contains several state dicts, {', '.join(places)}; {WEIGHTS_ALONE}")
    state = saved[places[0]] if places else saved
    beside = [repr(name) for name, value in saved.items() if places and not _is_plain(value) and value is not state]
    if beside:
        raise CheckpointError(f"beside the state dict, the checkpoint contains {', '.join(beside)}; {WEIGHTS_ALONE}")
    if not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise CheckpointError(f"the checkpoint does not contain a state dict of tensors; {WEIGHTS_ALONE}")
    return state


def storages_of(state: Mapping[str, Tensor]) -> dict[str, Storage]:
    """Return the storages of a state dict by key.

    Raises:
        CheckpointError: If two tensors disagree on a storage.
    """
    storages = {tensor.storage.key: tensor.storage for tensor in state.values()}
    if any(tensor.storage != storages[tensor.storage.key] for tensor in state.values()):
        raise CheckpointError("two tensors disagree on the length or the type of their storage")
    return storages


def views(state: Mapping[str, Tensor], values: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the tensors as read-only arrays.

    Args:
        state: A state dict.
        values: The numbers of its storages by key, in any precision.
    """
    return {name: _view(tensor, values[tensor.storage.key]) for name, tensor in state.items()}


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _storage(reference: Any) -> Storage:
    match reference:  # the format before 1.6 has a sixth item: None, or which part of another storage this one is
        case ("storage", Global("torch", str() as kind), str() as key, str(), int() as length, *rest) if length >= 0:
            if kind in _DTYPES and rest in ([], [None]):
                return Storage(key, _DTYPES[kind], length)
    raise CheckpointError("a reference in the checkpoint is not to a storage of numbers")


def _ordered_dict(arguments: tuple[Any, ...]) -> dict[str, Any]:
    """Return an ordered dictionary; Python 2 calls it with its items, a list of lists of two."""
    match arguments:
        case ():
            return {}
        case (list() as items,):
            pairs = [tuple(item) for item in items if isinstance(item, list) and len(item) == 2]
            if len(pairs) == len(items) and all(isinstance(name, str) for name, _ in pairs):
                found = dict(pairs)
                if len(found) == len(pairs):
                    return found
    raise CheckpointError("an ordered dictionary in the checkpoint begins with items that Torch does not write")


def _tensor(arguments: tuple[Any, ...]) -> Tensor:
    """Return the tensor of ``_rebuild_tensor`` and ``_rebuild_tensor_v2``; further arguments concern gradients."""
    match arguments:
        case (Storage() as storage, offset, tuple() as shape, tuple() as stride, *_):
            pass
        case _:
            raise CheckpointError("a tensor in the checkpoint has no storage, offset, shape or stride")
    if not all(type(number) is int and number >= 0 for number in (offset, *shape, *stride)):
        raise CheckpointError("a tensor's offset, shape and stride must be integers of at least 0")
    if len(shape) != len(stride) or len(shape) > _MAX_DIMENSIONS:
        raise CheckpointError(
            f"a tensor must have at most {_MAX_DIMENSIONS} dimensions, and as many strides; "
            f"got {len(shape)} dimensions and {len(stride)} strides"
        )
    if math.prod(max(side, 1) for side in shape) > _MAX_ELEMENTS:
        raise CheckpointError(f"a tensor's shape stands for more than {_MAX_ELEMENTS:,} numbers")
    last = offset + sum((side - 1) * step for side, step in zip(shape, stride, strict=True))
    # Torch allows a tensor larger than its storage (stride 0), but copying it could exhaust the memory.
    if math.prod(shape) and (last >= storage.length or math.prod(shape) > storage.length):
        raise CheckpointError(f"a tensor reaches beyond its storage {storage.key!r}")
    return Tensor(storage, offset, shape, stride)


def _parameter(arguments: tuple[Any, ...]) -> Tensor:
    """Return the tensor of a parameter; further arguments concern gradients."""
    match arguments:
        case (Tensor() as tensor, *_):
            return tensor
    raise CheckpointError("a parameter in the checkpoint has no tensor")


CONSTRUCTORS: dict[Global, Constructor | None] = {
    Global("collections", "OrderedDict"): _ordered_dict,
    Global("torch._utils", "_rebuild_tensor"): _tensor,
    Global("torch._utils", "_rebuild_tensor_v2"): _tensor,
    Global("torch._utils", "_rebuild_parameter"): _parameter,
    **dict.fromkeys(Global("torch", kind) for kind in _DTYPES),
}
"""All names that a state dict contains."""


def _view(tensor: Tensor, values: NDArray[Any]) -> NDArray[Any]:
    if 0 in tensor.shape:
        return np.empty(tensor.shape, values.dtype)
    # The stride of an axis with one place is never used, and NumPy has no number for a huge stride.
    places = zip(tensor.shape, tensor.stride, strict=True)
    strides = [step * values.itemsize if side > 1 else 0 for side, step in places]
    return np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, strides, writeable=False)
