"""Small checkpoints in the format of Torch before 1.6, written without Torch."""

import pickle
import struct
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_archs.weights.formats.torch_pickle import MAGIC_NUMBER, PROTOCOL_VERSION
from tests.support.networks import Floats


class Global:
    """A reference to ``module.name`` in a pickle, called with ``arguments`` unless they are None."""

    def __init__(self, module: str, name: str, arguments: tuple[Any, ...] | None = None) -> None:
        self.module, self.name, self.arguments = module, name, arguments


class Storage:
    """A persistent reference in a pickle to an array of the file."""

    def __init__(self, key: Any, values: Floats, length: int | None = None) -> None:
        self.key, self.values, self.length = key, values, len(values) if length is None else length


class Instructions(bytes):
    """Instructions of a pickle, to be written as they are."""


def write_checkpoint(path: Path, state: Any, storages: Sequence[Storage] = (), **header: Any) -> Path:
    """Write a checkpoint whose saved object is ``state``."""
    with path.open("wb") as file:
        for value in (MAGIC_NUMBER, header.get("protocol", PROTOCOL_VERSION)):
            pickle.dump(value, file, protocol=2)
        pickle.dump({"little_endian": header.get("little_endian", True)}, file, protocol=2)
        file.write(assemble(state) + b".")
        pickle.dump([storage.key for storage in storages], file, protocol=2)
        for storage in storages:
            length = header.get("length", len(storage.values))
            file.write(struct.pack("<q", length) + storage.values.astype("<f4").tobytes())
    return path


def assemble(value: Any) -> bytes:
    """Return the pickle opcodes for a value, because Python's pickler imports every global that it writes."""
    match value:
        case Instructions():
            return value
        case Global():
            name = f"c{value.module}\n{value.name}\n".encode()
            return name if value.arguments is None else name + assemble(value.arguments) + b"R"
        case Storage():
            kind = Global("torch", "FloatStorage")
            return assemble(("storage", kind, value.key, "cpu", value.length, None)) + b"Q"
        case tuple():
            return b"(" + b"".join(map(assemble, value)) + b"t"
        case OrderedDict():
            items = b"".join(assemble(key) + assemble(item) for key, item in value.items())
            return assemble(Global("collections", "OrderedDict", ())) + b"(" + items + b"u"
        case _:
            return pickle.dumps(value, protocol=2)[2:-1].replace(b"q\x00", b"")


def tensor(storage: Any, offset: Any, shape: Any, stride: Any) -> Global:
    """Return a tensor as Torch writes it."""
    return Global("torch._utils", "_rebuild_tensor_v2", (storage, offset, shape, stride, False, OrderedDict()))


def numbers(key: Any = "1", length: int | None = None) -> Storage:
    """Return a storage of the numbers from 0 to 11."""
    return Storage(key, np.arange(12, dtype=np.float32), length)
