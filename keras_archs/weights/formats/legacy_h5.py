"""Read Keras' legacy ``.h5`` files: the weights of keras.applications, and whole models.

Layers and their variables are listed in the attributes ``layer_names`` and ``weight_names``, in the network's order;
the walk follows these lists, because HDF5 itself has no order. A file is not trusted: links and data that lead out of
the file are refused, and so are compressed data, which Keras does not write and which can grow without bound.
"""

import re
from collections.abc import Iterator
from functools import cached_property
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from keras_archs.weights.errors import CheckpointError
from keras_archs.weights.formats.precision import in_float32

_TOP_LEVEL = "top_level_model_weights"
_MAX_LIST = 4_000_000
"""Bytes of the longest list of names; it takes about 30 bytes per name."""
_MAX_TEXTS, _MAX_TEXTS_RATIO = 100_000_000, 8
"""Bytes that the names of one list may have together if each refers to the longest text in the file, which is the
description of the model if the file has one; for a longer file, this many times its length."""
_COLLECTION = b"GCOL"
"""Signature of a collection of texts of variable length in HDF5."""


def read(path: Path) -> dict[str, NDArray[Any]]:
    """Read the variables of a file.

    Returns:
        The values by ``"<layer>/<variable>"``, e.g. ``"conv1_bn/gamma"``, in the file's order. The variables of a
        network that is a layer of another network have the names of the inner layers.

    Raises:
        CheckpointError: If the file is damaged, has another layout, or leads to anything outside itself.
    """
    try:
        with h5py.File(path, "r") as file:
            return _Reader(file, path).read()
    except CheckpointError:
        raise
    except Exception as error:  # a damaged file can raise any exception
        raise CheckpointError(f"the HDF5 file is damaged: {error}") from error


class _Reader:
    """A file, and how many bytes may still be read: no more than the file has, though many names may mean one array."""

    def __init__(self, file: h5py.File, path: Path) -> None:
        self.file, self.path, self.size = file, path, path.stat().st_size
        self.left = self.size

    def read(self) -> dict[str, NDArray[Any]]:
        root = _member(self.file, "model_weights", h5py.Group) if _has(self.file, "model_weights") else self.file
        layers = self._names(root, "layer_names")
        if layers is None:
            if _has(self.file, "layers"):
                raise CheckpointError("this is a .weights.h5 file, whose variables have no names; its name must say so")
            raise CheckpointError("the HDF5 file has no attribute layer_names: Keras did not write it")
        values: dict[str, NDArray[Any]] = {}
        for layer in [*layers, *([_TOP_LEVEL] if _has(root, _TOP_LEVEL) else [])]:
            for name, dataset in self._variables(layer, _member(root, layer, h5py.Group)):
                if name in values:
                    raise CheckpointError(f"two variables have the name {name}")
                values[name] = self._values(name, dataset)
        return values

    def _variables(self, layer: str, group: h5py.Group) -> Iterator[tuple[str, h5py.Dataset]]:
        """Yield the name and the data of each variable of a layer."""
        paths = self._names(group, "weight_names") or []
        split = [re.sub(r":\d+$", "", path).rpartition("/") for path in paths]
        # Paths in a layer begin with its name, or with nothing; paths in a network with the names of inner layers.
        is_network = len({owner for owner, _, _ in split}) > 1
        for path, (owner, _, variable) in zip(paths, split, strict=True):
            name = owner.removeprefix(f"{layer}/") if is_network else layer
            yield f"{name}/{variable}", _member(group, path, h5py.Dataset)

    def _names(self, group: h5py.Group, name: str) -> list[str] | None:
        """Return the texts of an attribute, which Keras splits into several if they are long; None if there is none."""
        parts = [name] if name in group.attrs else []
        if not parts:
            while f"{name}{len(parts)}" in group.attrs:
                parts.append(f"{name}{len(parts)}")
        return [text for part in parts for text in self._texts(group, part)] if parts else None

    def _texts(self, group: h5py.Group, name: str) -> list[str]:
        attribute = group.attrs.get_id(name)
        if attribute.shape == (0,):  # Keras writes an empty list of numbers
            return []
        is_list = attribute.shape is not None and len(attribute.shape) == 1
        if not is_list or attribute.shape[0] * attribute.dtype.itemsize > _MAX_LIST:
            raise CheckpointError(f"the attribute {name} of {group.name} must be a list of up to {_MAX_LIST:,} bytes")
        kind = h5py.check_string_dtype(attribute.dtype)
        if kind is None:
            raise CheckpointError(f"the attribute {name} of {group.name} must be a list of names")
        limit = max(_MAX_TEXTS, _MAX_TEXTS_RATIO * self.size)
        if kind.length is None and attribute.shape[0] * self.longest_text > limit:
            raise CheckpointError(f"the names in {name} of {group.name} may have more than {limit:,} bytes")
        return [text.decode() if isinstance(text, bytes) else str(text) for text in group.attrs[name]]

    @cached_property
    def longest_text(self) -> int:
        """Length of the longest text in the file: many names can refer to one text, and each takes its memory."""
        with self.path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
            return max(_lengths_of_texts(content), default=0)

    def _values(self, name: str, dataset: h5py.Dataset) -> NDArray[Any]:
        if dataset.is_virtual or dataset.external:
            raise CheckpointError(f"{name} refers to data in another file")
        if dataset.chunks is not None:
            raise CheckpointError(f"{name} is compressed or in pieces, which Keras does not write")
        if dataset.dtype.kind not in "fiub":
            raise CheckpointError(f"{name} does not consist of numbers, but of {dataset.dtype}")
        if dataset.id.get_storage_size() != dataset.nbytes:
            raise CheckpointError(f"the file does not have the {dataset.nbytes:,} bytes of {name}")
        self.left -= dataset.nbytes
        if self.left < 0:
            raise CheckpointError("the variables together are longer than the file")
        return in_float32(np.asarray(dataset[()]))


def _lengths_of_texts(content: mmap) -> Iterator[int]:
    """Yield the lengths of the texts in HDF5's collections of them, which HDF5 itself reads unchecked: it may hang.

    A collection begins with a signature and its size; each text in it with a number, 0 for free space, and its length.
    """
    left, start = len(content), content.find(_COLLECTION)
    while start >= 0:
        size = int.from_bytes(content[start + 8 : start + 16], "little")
        if size <= len(content):  # else the signature is a coincidence
            left -= size
            if left < 0:
                raise CheckpointError("the texts of the HDF5 file together are longer than the file")
            place, end = start + 16, start + size
            while place + 16 <= end:
                is_free = content[place : place + 2] == b"\0\0"
                length = int.from_bytes(content[place + 8 : place + 16], "little")
                taken = length if is_free else 16 + (length + 7) // 8 * 8  # free space counts its beginning, too
                if not 16 <= taken <= end - place:
                    raise CheckpointError("a text of the HDF5 file has an impossible length")
                if not is_free:
                    yield length
                place += taken
        start = content.find(_COLLECTION, start + 4)


def _has(group: h5py.Group, name: str) -> bool:
    """Return whether a group has a member or a link of this name; unlike ``in``, without following the link."""
    return group.get(name, getlink=True) is not None


def _member(group: h5py.Group, path: str, kind: type) -> Any:
    """Return the group or dataset of a path, following no links."""
    member = group
    for part in path.split("/"):
        if not isinstance(member, h5py.Group) or not part or not _has(member, part):
            raise CheckpointError(f"{group.name} has no member {path}")
        if not isinstance(member.get(part, getlink=True), h5py.HardLink):
            raise CheckpointError(f"{part} in {member.name} is a link, which Keras does not write")
        member = member[part]
    if not isinstance(member, kind):
        raise CheckpointError(f"{path} in {group.name} is not a {kind.__name__.lower()}")
    return member
