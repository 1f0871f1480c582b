"""Read Torch's first checkpoint format without Torch and without executing the pickle's code.

A file of this format, the only format before Torch 1.6, is a sequence of pickles: a magic number, the protocol version,
a description of the system, the saved object, and the keys of the storages in file order. Then follows each storage:
its number of elements as a 64-bit integer, and the elements. Tensors in the object refer to storages by key, with an
offset and a stride for each axis.

Unpickling can call any function, so the reader accepts only the parts of a state dict: ordered dictionaries, tensors
and storages.
"""

import io
import math
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keras_archs.weights.errors import CheckpointError

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001

_DTYPES = {
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
    """An array of numbers in the file; a tuple, so that a pickle cannot modify it."""

    key: str
    dtype: np.dtype[Any]
    length: int


class _Tensor(NamedTuple):
    """A view of a storage: offset and strides count elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class _StateDictUnpickler(pickle.Unpickler):
    """An unpickler that looks up the globals of a state dict and refuses all others."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self._tensor
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise CheckpointError(f"refused to load {module}.{name}: a checkpoint may contain tensors only")

    def persistent_load(self, pid: Any) -> _Storage:
        match pid:
            case ("storage", np.dtype() as dtype, str() as key, str(), int() as length, None) if length >= 0:
                return _Storage(key, dtype, length)
        raise CheckpointError(f"not a reference to a storage: {pid!r}")

    @staticmethod
    def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> _Tensor:
        """Replace ``_rebuild_tensor_v2``, whose remaining arguments concern gradients."""
        tensor = _Tensor(storage, offset, shape, stride)
        numbers = (offset, *shape, *stride)
        sound = isinstance(storage, _Storage) and all(type(n) is int and n >= 0 for n in numbers)
        if not sound or len(shape) != len(stride):
            raise CheckpointError(f"not a tensor: {tensor}")
        last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
        # Torch allows a tensor larger than its storage (stride 0), but copying it could exhaust the memory.
        if math.prod(shape) and (last >= storage.length or math.prod(shape) > storage.length):
            raise CheckpointError(f"tensor reaches beyond its storage: {tensor}")
        return tensor


def load_state_dict(path: Path) -> dict[str, NDArray[Any]]:
    """Read a checkpoint that contains one state dict.

    Args:
        path: File in the format of Torch before 1.6.

    Returns:
        The tensors by name, in the file's order.

    Raises:
        CheckpointError: If the file has another format, is truncated, or contains anything but tensors.
    """
    with path.open("rb") as file:
        if _unpickle(file) != MAGIC_NUMBER or _unpickle(file) != PROTOCOL_VERSION:
            raise CheckpointError(f"{path} is not a checkpoint in the format of Torch before 1.6")
        system = _unpickle(file)
        if not isinstance(system, dict) or system.get("little_endian") is not True:
            raise CheckpointError(f"{path} was not written on a little-endian machine: {system!r}")
        state = _unpickle(file)
        if not isinstance(state, dict) or not all(isinstance(tensor, _Tensor) for tensor in state.values()):
            raise CheckpointError(f"{path} does not contain a state dict of tensors")
        storages = {tensor.storage.key: tensor.storage for tensor in state.values()}
        keys = _unpickle(file)
        if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(storages):
            raise CheckpointError(f"{path}: the list of storages does not match the tensors")
        data = {key: _read_storage(file, storages[key]) for key in keys}
    return {name: _view(tensor, data[tensor.storage.key]) for name, tensor in state.items()}


def _unpickle(file: io.BufferedReader) -> Any:
    try:
        return _StateDictUnpickler(file).load()
    except CheckpointError:
        raise
    except Exception as error:  # a damaged pickle can raise any exception
        raise CheckpointError(f"{file.name} is damaged or not a checkpoint: {error!r}") from error


def _read_storage(file: io.BufferedReader, storage: _Storage) -> NDArray[Any]:
    length = int.from_bytes(file.read(8), "little", signed=True)
    if length != storage.length:
        raise CheckpointError(
            f"{file.name}: storage {storage.key} has {length} elements, but its tensors expect {storage.length}"
        )
    data = file.read(length * storage.dtype.itemsize)
    if len(data) != length * storage.dtype.itemsize:
        raise CheckpointError(f"{file.name} ends within storage {storage.key}")
    return np.frombuffer(data, storage.dtype)


def _view(tensor: _Tensor, data: NDArray[Any]) -> NDArray[Any]:
    strides = [step * data.itemsize for step in tensor.stride]
    return np.lib.stride_tricks.as_strided(data[tensor.offset :], tensor.shape, strides).copy()
