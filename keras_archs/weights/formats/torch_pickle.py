"""Read Torch's first checkpoint format without Torch and without executing the pickle's code.

A file of this format, the only format before Torch 1.6, is a sequence of pickles: a magic number, the protocol version,
a description of the system, the saved object, and the keys of the storages in file order. Then follows each storage:
its number of elements as a 64-bit integer, and the elements. Tensors in the object refer to storages by key, with an
offset and a stride for each axis.

Of the saved object, the reader accepts the parts of a state dict only: ordered dictionaries, tensors and storages.
Every number that a file states is checked before it is used, and memory is taken for bytes that the file has.
"""

import io
import math
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keras_archs.weights.errors import CheckpointError
from keras_archs.weights.formats.pickles import Constructor, Global, read_pickle

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001

_ZIP = b"PK\x03\x04"
_MAX_DIMENSIONS = 32
_MAX_ELEMENTS = 2**40
"""Product of a tensor's sides, where an empty side counts as 1."""

_DTYPES: dict[str, np.dtype[Any]] = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}


class _Storage(NamedTuple):
    """An array of numbers in the file."""

    key: str
    dtype: np.dtype[Any]
    length: int


class _Tensor(NamedTuple):
    """A view of a storage: offset and strides count elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def load_state_dict(path: Path) -> dict[str, NDArray[Any]]:
    """Read a checkpoint that contains one state dict.

    Args:
        path: File in the format of Torch before 1.6.

    Returns:
        The tensors by name, in the file's order; read-only, and tensors of one storage share its memory.

    Raises:
        CheckpointError: If the file has another format, is damaged, or contains anything but tensors.
    """
    with path.open("rb") as file:
        try:
            return _read(file)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from error


def _read(file: io.BufferedReader) -> dict[str, NDArray[Any]]:
    if file.peek(len(_ZIP)).startswith(_ZIP):
        raise CheckpointError("this is the zip format of Torch 1.6 and later; only the format before 1.6 can be read")
    if _unpickle(file) != MAGIC_NUMBER or _unpickle(file) != PROTOCOL_VERSION:
        raise CheckpointError("not a checkpoint in the format of Torch before 1.6")
    system = _unpickle(file)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise CheckpointError("the checkpoint was not written on a little-endian machine")
    state = _unpickle(file)
    if not isinstance(state, dict) or not all(isinstance(tensor, _Tensor) for tensor in state.values()):
        raise CheckpointError("the checkpoint does not contain a state dict of tensors")
    storages = {tensor.storage.key: tensor.storage for tensor in state.values()}
    if any(tensor.storage != storages[tensor.storage.key] for tensor in state.values()):
        raise CheckpointError("two tensors disagree on the length or the type of their storage")
    keys = _unpickle(file)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or sorted(keys) != sorted(storages):
        raise CheckpointError("the list of storages does not match the tensors")
    data = {key: _read_storage(file, storages[key]) for key in keys}
    return {name: _view(tensor, data[tensor.storage.key]) for name, tensor in state.items()}


def _unpickle(file: io.BufferedReader) -> Any:
    return read_pickle(file, _CONSTRUCTORS, _storage)


def _storage(reference: Any) -> _Storage:
    match reference:
        case ("storage", Global("torch", str() as kind), str() as key, str(), int() as length, None) if length >= 0:
            if kind in _DTYPES:
                return _Storage(key, _DTYPES[kind], length)
    raise CheckpointError("a reference in the checkpoint is not to a storage of numbers")


def _ordered_dict(arguments: tuple[Any, ...]) -> dict[str, Any]:
    if arguments:
        raise CheckpointError("an ordered dictionary in the checkpoint begins with items, which Torch does not write")
    return {}


def _tensor(arguments: tuple[Any, ...]) -> _Tensor:
    """Return the tensor of ``_rebuild_tensor_v2``, whose remaining arguments concern gradients."""
    match arguments:
        case (_Storage() as storage, offset, tuple() as shape, tuple() as stride, *_):
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
    return _Tensor(storage, offset, shape, stride)


_CONSTRUCTORS: dict[Global, Constructor | None] = {
    Global("collections", "OrderedDict"): _ordered_dict,
    Global("torch._utils", "_rebuild_tensor_v2"): _tensor,
    **dict.fromkeys(Global("torch", kind) for kind in _DTYPES),
}
"""All names that a state dict contains."""


def _read_storage(file: io.BufferedReader, storage: _Storage) -> NDArray[Any]:
    length = int.from_bytes(file.read(8), "little", signed=True)
    if length != storage.length:
        raise CheckpointError(f"storage {storage.key!r} has another number of elements than its tensors expect")
    size = length * storage.dtype.itemsize
    if size > os.fstat(file.fileno()).st_size - file.tell():
        raise CheckpointError(f"the file ends within storage {storage.key!r}")
    return np.frombuffer(file.read(size), storage.dtype)


def _view(tensor: _Tensor, data: NDArray[Any]) -> NDArray[Any]:
    if 0 in tensor.shape:
        return np.empty(tensor.shape, data.dtype)
    # The stride of an axis with one place is never used, and NumPy has no number for a huge stride.
    places = zip(tensor.shape, tensor.stride, strict=True)
    strides = [step * data.itemsize if side > 1 else 0 for side, step in places]
    return np.lib.stride_tricks.as_strided(data[tensor.offset :], tensor.shape, strides, writeable=False)
