"""Read the zip format of Torch 1.6 and later without Torch and without executing the pickle's code.

In a folder of any name, ``data.pkl`` is the saved object, ``data/<key>`` a storage, and ``byteorder`` says in which
order the bytes of its numbers are. Nothing is compressed.
"""

import io
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from keras_archs.weights.errors import CheckpointError
from keras_archs.weights.formats import torch_objects
from keras_archs.weights.formats.pickles import WEIGHTS_ALONE
from keras_archs.weights.formats.precision import in_float32
from keras_archs.weights.formats.torch_objects import Storage
from keras_archs.weights.formats.zip_files import read_stored


def folder_of(archive: ZipFile) -> str | None:
    """Return the folder of a checkpoint in a zip file, None if the zip file is something else."""
    folders = [name.removesuffix("/data.pkl") for name in archive.NameToInfo if name.endswith("/data.pkl")]
    return folders[0] if len(folders) == 1 else None


def read(archive: ZipFile) -> dict[str, NDArray[Any]]:
    """Read the tensors of a state dict.

    Returns:
        The tensors by name, in the file's order; read-only, and tensors of one storage share its memory.

    Raises:
        CheckpointError: If the file is damaged, compressed, or contains anything but tensors.
    """
    folder = folder_of(archive)
    if folder is None:
        raise CheckpointError("the zip file is not a checkpoint of Torch: it has no entry data.pkl")
    if f"{folder}/constants.pkl" in archive.NameToInfo:
        raise CheckpointError(f"this is a program (TorchScript), not a state dict; {WEIGHTS_ALONE}")
    byteorder = f"{folder}/byteorder"
    if byteorder in archive.NameToInfo and read_stored(archive, byteorder) != b"little":
        raise CheckpointError("the checkpoint was not written on a little-endian machine")
    saved = torch_objects.read_object(io.BytesIO(read_stored(archive, f"{folder}/data.pkl")))
    state = torch_objects.find_state_dict(saved)
    storages = torch_objects.storages_of(state)
    values = {key: _read_storage(archive, f"{folder}/data/{key}", storage) for key, storage in storages.items()}
    return torch_objects.views(state, values)


def _read_storage(archive: ZipFile, name: str, storage: Storage) -> NDArray[Any]:
    content = read_stored(archive, name)
    if len(content) != storage.size:
        raise CheckpointError(
            f"{name} has {len(content):,} bytes, but its tensors expect {storage.size:,} ({storage.dtype})"
        )
    return in_float32(np.frombuffer(content, storage.dtype))
