"""Read the tensors of a file of weights, whose format is known by its content."""

import io
import shutil
from pathlib import Path
from typing import Any, BinaryIO, cast
from zipfile import ZipExtFile

from numpy.typing import NDArray

from keras_archs.cards.weights_entry import Format
from keras_archs.weights.errors import CheckpointError
from keras_archs.weights.formats import legacy_h5, safetensors_files, torch_pickle, torch_zip, zip_files
from keras_archs.weights.formats.pickles import WEIGHTS_ALONE
from keras_archs.weights.formats.zip_files import only_entry, open_zip

_HDF5 = b"\x89HDF\r\n\x1a\n"
_OTHERS = {
    b"version https://git-lfs": "a pointer of Git LFS instead of the file; fetch the file with git lfs pull",
    b"PK\x05\x06": "an empty zip file",
    b"\x1f\x8b": "compressed with gzip; decompress it first",
    b"\x80": f"a pickle that torch.save did not write; {WEIGHTS_ALONE}",
}
"""What files are that are often found in the place of weights, by their first bytes."""


def format_of(path: Path) -> Format:
    """Return the format of a file of weights, by its content.

    Raises:
        CheckpointError: If the file is anything else; the message says what it is, where that is known.
        OSError: If the file cannot be read.
    """
    with path.open("rb") as file:
        try:
            return _format_of(file)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from error


def read_tensors(path: Path, format: Format) -> dict[str, NDArray[Any]]:
    """Read the tensors of a file of weights.

    Args:
        path: The file.
        format: Format that the file must have.

    Returns:
        The tensors by name, in the file's order; floating-point numbers as float32. The prefix ``module.``, which
        Torch's DataParallel puts before all names, is left out.

    Raises:
        CheckpointError: If the file has another format, is damaged, or contains anything but tensors.
        OSError: If the file cannot be read.
    """
    found = format_of(path)
    if found != format:
        raise CheckpointError(f"{path}: the format of the file is {found}, not {format}")
    try:
        match format:
            case "h5":
                return legacy_h5.read(path)
            case "safetensors":
                return _without_module(safetensors_files.read(path))
            case "torch":
                with path.open("rb") as file:
                    return _without_module(_read_torch(file, path.stat().st_size))
            case "zipped-torch":
                with path.open("rb") as file:
                    return _without_module(_read_zipped_torch(file))
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _format_of(file: BinaryIO) -> Format:
    start = file.read(512)
    if start.startswith(_HDF5):
        return "h5"
    if start.startswith(zip_files.SIGNATURE):
        return _format_of_zip(file)
    if torch_pickle.is_torch_pickle(start):
        return "torch"
    if start[8:9] == b"{":  # behind the length of the header
        return "safetensors"
    if not start:
        raise CheckpointError("the file is empty")
    for signature, description in _OTHERS.items():
        if start.startswith(signature):
            raise CheckpointError(f"the file is {description}")
    if start.lstrip().startswith(b"<"):
        raise CheckpointError("the file is a web page, probably a server's error in place of the weights")
    raise CheckpointError("the file is neither HDF5, safetensors nor a checkpoint of Torch, or it is damaged")


def _format_of_zip(file: BinaryIO) -> Format:
    with open_zip(file) as archive:
        if torch_zip.folder_of(archive) is not None:
            return "torch"
        names = archive.namelist()
    if len(names) == 1 and names[0].endswith(".pth"):
        return "zipped-torch"
    if "config.json" in names and "model.weights.h5" in names:
        raise CheckpointError("the file is a model that Keras saved; the name of such a file must end with .keras")
    raise CheckpointError("the zip file contains neither a checkpoint of Torch nor a single .pth file")


def _read_torch(file: BinaryIO, size: int) -> dict[str, NDArray[Any]]:
    is_zip = file.read(len(zip_files.SIGNATURE)) == zip_files.SIGNATURE
    file.seek(0)
    if not is_zip:
        return torch_pickle.read(file, size)
    with open_zip(file) as archive:
        return torch_zip.read(archive)


def _read_zipped_torch(file: BinaryIO) -> dict[str, NDArray[Any]]:
    with open_zip(file) as archive:
        entry = only_entry(archive)
        with cast(ZipExtFile, archive.open(entry)) as content:
            if content.peek(len(zip_files.SIGNATURE)).startswith(zip_files.SIGNATURE):
                # The directory of a zip file is at its end, but a deflated file is read from front to back.
                inflated = io.BytesIO()
                shutil.copyfileobj(content, inflated)
                inflated.seek(0)
                return _read_torch(inflated, entry.file_size)
            return _read_torch(io.BufferedReader(content), entry.file_size)


def _without_module(tensors: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    if all(name.startswith("module.") for name in tensors):
        return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return tensors
