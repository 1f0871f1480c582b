"""Small checkpoints in the formats of Torch, written without Torch."""

import pickle
import re
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_archs.weights.formats.reading import read_tensors
from keras_archs.weights.formats.torch_pickle import MAGIC_NUMBER, PROTOCOL_VERSION


class Global:
    """A reference to ``module.name`` in a pickle, called with ``arguments`` unless they are None."""

    def __init__(self, module: str, name: str, arguments: tuple[Any, ...] | None = None) -> None:
        self.module, self.name, self.arguments = module, name, arguments


class Storage:
    """A persistent reference in a pickle to an array of the file."""

    def __init__(
        self,
        key: Any,
        values: NDArray[Any],
        length: int | None = None,
        *,
        kind: str = "FloatStorage",
        location: str = "cpu",
    ) -> None:
        self.key, self.values, self.kind, self.location = key, values, kind, location
        self.length = len(values) if length is None else length


class Instructions(bytes):
    """Instructions of a pickle, to be written as they are."""


def write_checkpoint(path: Path, state: Any, storages: Sequence[Storage] = (), **header: Any) -> Path:
    """Write a checkpoint in the format before 1.6, whose saved object is ``state``."""
    with path.open("wb") as file:
        for value in (MAGIC_NUMBER, header.get("protocol", PROTOCOL_VERSION)):
            pickle.dump(value, file, protocol=2)
        pickle.dump({"little_endian": header.get("little_endian", True)}, file, protocol=2)
        file.write(assemble(state) + b".")
        pickle.dump([storage.key for storage in storages], file, protocol=2)
        for storage in storages:
            length = header.get("length", len(storage.values))
            file.write(struct.pack("<q", length) + storage.values.tobytes())
    return path


def write_zip_checkpoint(path: Path, state: Any, storages: Sequence[Storage] = (), **entries: bytes | None) -> Path:
    """Write a checkpoint in the format since 1.6, whose saved object is ``state``.

    Args:
        path: The file.
        state: The saved object.
        storages: Its storages.
        entries: Entries that replace those of a sound file; None leaves an entry out.
    """
    content: dict[str, bytes | None] = {
        # In this format, a reference to a storage has no sixth item.
        "data.pkl": b"\x80\x02" + assemble(state).replace(b"NtQ", b"tQ") + b".",
        ".format_version": b"1",
        ".storage_alignment": b"64",
        "byteorder": b"little",
        **{f"data/{storage.key}": storage.values.tobytes() for storage in storages},
        "version": b"3\n",
        ".data/serialization_id": b"0" * 40,
        **entries,
    }
    with zipfile.ZipFile(path, "w") as file:
        for name, data in content.items():
            if data is not None:
                file.writestr(f"archive/{name}", data)
    return path


def python_2(state: "OrderedDict[str, Any]") -> Instructions:
    """Return a state dict as Python 2 pickled it: an ordered dictionary is called with its items, texts are bytes."""
    pairs = b"".join(b"](" + assemble(name) + assemble(value) + b"e" for name, value in state.items())
    call = b"ccollections\nOrderedDict\n(](" + pairs + b"etR"
    return Instructions(re.sub(rb"X(.)\x00\x00\x00", rb"U\1", call, flags=re.DOTALL))


def read_torch(path: Path) -> dict[str, NDArray[Any]]:
    """Read a checkpoint of either format."""
    return read_tensors(path, "torch")


def assemble(value: Any) -> bytes:
    """Return the pickle opcodes for a value, because Python's pickler imports every global that it writes."""
    match value:
        case Instructions():
            return value
        case Global():
            name = f"c{value.module}\n{value.name}\n".encode()
            return name if value.arguments is None else name + assemble(value.arguments) + b"R"
        case Storage():
            kind = Global("torch", value.kind)
            return assemble(("storage", kind, value.key, value.location, value.length, None)) + b"Q"
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
