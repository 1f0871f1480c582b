"""Read Torch's first checkpoint format without Torch and without executing the pickle's code.

A file of this format, the only format before Torch 1.6, is a sequence of pickles: a magic number, the protocol version,
a description of the system, the saved object, and the keys of the storages in file order. Then follows each storage:
its number of elements as a 64-bit integer, and the elements. Memory is taken for bytes that the file has.
"""

from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from keras_archs.weights.errors import CheckpointError
from keras_archs.weights.formats import torch_objects
from keras_archs.weights.formats.precision import in_float32
from keras_archs.weights.formats.torch_objects import Storage, read_object

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001

_MAGIC_PICKLE = b"\x8a\x0a" + MAGIC_NUMBER.to_bytes(10, "little") + b"."
"""The pickle of the magic number, without the instruction that states the protocol of pickles."""


def is_torch_pickle(start: bytes) -> bool:
    """Return whether a file that starts with these bytes, at least 16, has this format."""
    return start.startswith(b"\x80") and start[2:].startswith(_MAGIC_PICKLE)


def read(file: BinaryIO, size: int) -> dict[str, NDArray[Any]]:
    """Read the tensors of a state dict.

    Args:
        file: A file at its beginning, which is read from front to back.
        size: Length of the file in bytes.

    Returns:
        The tensors by name, in the file's order; read-only, and tensors of one storage share its memory.

    Raises:
        CheckpointError: If the file is damaged, or contains anything but tensors.
    """
    if read_object(file) != MAGIC_NUMBER or read_object(file) != PROTOCOL_VERSION:
        raise CheckpointError("not a checkpoint in the format of Torch before 1.6")
    system = read_object(file)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise CheckpointError("the checkpoint was not written on a little-endian machine")
    state = torch_objects.find_state_dict(read_object(file))
    storages = torch_objects.storages_of(state)
    keys = read_object(file)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or sorted(keys) != sorted(storages):
        raise CheckpointError("the list of storages does not match the tensors")
    values = {key: _read_storage(file, size, storages[key]) for key in keys}
    if file.read(1):
        raise CheckpointError("the file goes on after the last storage")
    return torch_objects.views(state, values)


def _read_storage(file: BinaryIO, size: int, storage: Storage) -> NDArray[Any]:
    length = int.from_bytes(file.read(8), "little", signed=True)
    if length != storage.length:
        raise CheckpointError(f"storage {storage.key!r} has another number of elements than its tensors expect")
    if storage.size > size - file.tell():
        raise CheckpointError(f"the file ends within storage {storage.key!r}")
    content = file.read(storage.size)
    if len(content) != storage.size:
        raise CheckpointError(f"the file ends within storage {storage.key!r}")
    return in_float32(np.frombuffer(content, storage.dtype))
