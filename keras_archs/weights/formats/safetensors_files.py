"""Read safetensors files, through the library of that name and without Torch.

The library checks that the tensors tile the file without gaps and overlaps. Its bound for the header, 100 MB, is too
high for a description that has to be parsed; the bound here fits ten times the tensors of the largest network.
"""

from pathlib import Path
from typing import Any

import safetensors
from numpy.typing import NDArray

from keras_archs.weights.errors import CheckpointError
from keras_archs.weights.formats.precision import in_float32

_MAX_HEADER = 4_000_000
"""Bytes of the longest header; it takes about 100 bytes per tensor."""
_DTYPES = ("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL")


def read(path: Path) -> dict[str, NDArray[Any]]:
    """Read the tensors of a file.

    Returns:
        The tensors by name, in the order of their places in the file.

    Raises:
        CheckpointError: If the file is damaged, its header is too long, or a tensor has a type that weights have not.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > _MAX_HEADER:
        raise CheckpointError(f"the header states a length of {length:,} bytes, more than {_MAX_HEADER:,}")
    try:
        # "pread" rather than a mapping: a file that shrinks while it is mapped ends the process.
        with safetensors.safe_open(path, framework="numpy", backend="pread") as file:
            return {name: _tensor(file, name) for name in file.offset_keys()}
    except CheckpointError:
        raise
    except Exception as error:  # a damaged file can raise any exception
        raise CheckpointError(f"the file is damaged: {error}") from error


def _tensor(file: Any, name: str) -> NDArray[Any]:
    dtype = file.get_slice(name).get_dtype()
    if dtype not in _DTYPES:
        raise CheckpointError(f"{name} has the type {dtype}; allowed are {', '.join(_DTYPES)}")
    tensor: NDArray[Any] = file.get_tensor(name)
    return in_float32(tensor)
