"""The weights of our own networks under the names of a source, and in the file formats of sources."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from keras_archs.weights.loading import layers_of
from keras_archs.weights.maps import NAME_MAPS, conversions
from tests.support.torch_files import Storage, tensor, write_checkpoint

Tensors = dict[str, NDArray[Any]]

_INVERSE: dict[Any, Any] = {
    conversions.convolution: lambda kernel: kernel.transpose(3, 2, 0, 1),
    conversions.depthwise: lambda kernel: kernel.transpose(2, 3, 0, 1),
    conversions.dense: lambda kernel: kernel.T,
}


def tensors_of(model: keras.Model, names: str) -> Tensors:
    """Return the tensors that a source has for the weights of a network of ours, by the key of the source's map."""
    return {
        assignment.tensor: _INVERSE.get(assignment.convert, np.asarray)(np.asarray(assignment.variable))
        for assignment in NAME_MAPS[names].assignments(layers_of(model))
    }


def write_torch(path: Path, tensors: Mapping[str, NDArray[Any]]) -> Path:
    """Write tensors as Torch before 1.6 did, with the counters of normalisations."""
    state: OrderedDict[str, Any] = OrderedDict()
    storages: list[Storage] = []
    for name, values in tensors.items():
        storages.append(storage := Storage(str(len(storages)), np.ravel(values).astype(np.float32)))
        strides = np.empty(values.shape, "b").strides
        state[name] = tensor(storage, 0, values.shape, strides)
        if name.endswith(".running_var"):
            storages.append(count := Storage(str(len(storages)), np.ones(1, np.float32)))
            state[name.replace("running_var", "num_batches_tracked")] = tensor(count, 0, (), ())
    return write_checkpoint(path, state, storages)


def write_safetensors(path: Path, tensors: Mapping[str, NDArray[Any]]) -> Path:
    """Write tensors as timm publishes them on the hub."""
    save_file({name: np.ascontiguousarray(values) for name, values in tensors.items()}, path)
    return path


def write_h5(path: Path, tensors: Mapping[str, NDArray[Any]]) -> Path:
    """Write tensors named ``<layer>/<variable>`` in the layout of keras.applications."""
    by_layer: dict[str, list[str]] = {}
    for name in tensors:
        by_layer.setdefault(name.rpartition("/")[0], []).append(name)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.encode() for layer in by_layer]
        for layer, names in by_layer.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = [f"{name}:0".encode() for name in names]
            for name in names:
                group[f"{name}:0"] = tensors[name]
    return path
