"""Files that Torch and safetensors write give the tensors that Torch reads from them."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import safetensors.torch
import torch

from keras_archs.weights.errors import CheckpointError
from keras_archs.weights.formats.reading import format_of, read_tensors
from tests.support.networks import FIXTURES

State = dict[str, torch.Tensor]

OLD = {"_use_new_zipfile_serialization": False}


@pytest.fixture(autouse=True)
def fresh_keras() -> None:
    """Replaces the fixture of the other tests: readers need no Keras."""


@pytest.fixture(scope="module")
def state() -> State:
    """The state dict of a small network, with a view, a scalar, and tensors that share a storage."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.Conv2d(8, 8, 3, groups=8), torch.nn.Linear(8, 4)
    )
    large = torch.randn(6, 10)
    return {**network.state_dict(), "transposed": large.T, "part": large[2:4, 3:], "empty": torch.zeros(0, 3)}


def compare(path: Path, expected: State) -> None:
    found = read_tensors(path, format_of(path))
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == (np.float32 if tensor.is_floating_point() else np.int64)
        np.testing.assert_array_equal(found[name], (tensor.float() if tensor.is_floating_point() else tensor).numpy())


def in_type(state: State, dtype: torch.dtype) -> State:
    return {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in state.items()}


@pytest.mark.parametrize("options", [{}, OLD], ids=["zip", "before 1.6"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_state_dicts_of_torch(dtype: torch.dtype, options: dict[str, Any], state: State, tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    torch.save(in_type(state, dtype), path, **options)
    assert format_of(path) == "torch"
    compare(path, torch.load(path))


@pytest.mark.parametrize("options", [{}, OLD], ids=["zip", "before 1.6"])
def test_training_checkpoints_data_parallel_and_parameters(
    options: dict[str, Any], state: State, tmp_path: Path
) -> None:
    path = tmp_path / "file.pth"
    parallel = {f"module.{name}": tensor for name, tensor in state.items()}
    torch.save({"epoch": 3, "arch": "net", "best_acc1": 91.5, "state_dict": parallel}, path, **options)
    compare(path, state)
    network = torch.nn.Linear(3, 2)
    torch.save(dict(network.named_parameters()), path, **options)
    compare(path, {name: parameter.detach() for name, parameter in network.named_parameters()})


@pytest.mark.parametrize("options", [{}, OLD], ids=["zip", "before 1.6"])
def test_a_checkpoint_of_a_gpu(options: dict[str, Any], state: State, tmp_path: Path) -> None:
    """Only the pickle says where a storage was, so that the device's name can be put into it."""
    path = tmp_path / "file.pth"
    torch.save(state, path, **options)
    whole, cpu, gpu = path.read_bytes(), b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0"
    assert cpu in whole
    if options:
        path.write_bytes(whole.replace(cpu, gpu))
    else:
        with zipfile.ZipFile(path) as file:
            entries = {name: file.read(name) for name in file.namelist()}
        with zipfile.ZipFile(path, "w") as file:
            for name, content in entries.items():
                file.writestr(name, content.replace(cpu, gpu))
    compare(path, state)


@pytest.mark.parametrize("options", [{}, OLD], ids=["zip", "before 1.6"])
def test_a_checkpoint_in_a_zip_file_as_pytorchcv_publishes(
    options: dict[str, Any], state: State, tmp_path: Path
) -> None:
    torch.save(state, tmp_path / "file.pth", **options)
    with zipfile.ZipFile(tmp_path / "file.pth.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.write(tmp_path / "file.pth", "file.pth")
    assert format_of(tmp_path / "file.pth.zip") == "zipped-torch"
    compare(tmp_path / "file.pth.zip", state)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_files_of_safetensors(dtype: torch.dtype, state: State, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file({name: tensor.contiguous() for name, tensor in in_type(state, dtype).items()}, path)
    assert format_of(path) == "safetensors"
    compare(path, safetensors.torch.load_file(path))


def test_akamasters_file() -> None:
    path = FIXTURES / "weights/resnet20-12fca82f.th"
    saved = torch.load(path, map_location="cpu", weights_only=True)
    compare(path, {name.removeprefix("module."): tensor for name, tensor in saved["state_dict"].items()})


def test_a_file_of_keras() -> None:
    path = FIXTURES / "weights/mobilenet_2_5_224_tf.h5"
    found = read_tensors(path, "h5")
    with h5py.File(path) as file:
        expected = {
            f"{layer}/{variable.rpartition('/')[2].removesuffix(':0')}": file[layer][variable][()]
            for layer in file.attrs["layer_names"]
            for variable in file[layer].attrs["weight_names"]
        }
    assert list(found) == list(expected)
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    "saved",
    [
        lambda: torch.nn.Linear(2, 2),
        lambda: {"state_dict": {}, "optimizer": torch.optim.SGD(torch.nn.Linear(2, 2).parameters(), 0.1).state_dict()},
        lambda: {"a": torch.zeros(3, dtype=torch.float8_e4m3fn)},
        lambda: {"a": torch.zeros(3).untyped_storage()},
        lambda: {"a": torch.zeros(3).to_sparse()},
        lambda: {"state_dict": {}, "accuracy": np.float64(3)},
    ],
    ids=["network", "optimizer", "8 bits", "storage", "sparse", "NumPy number"],
)
@pytest.mark.parametrize("options", [{}, OLD], ids=["zip", "before 1.6"])
def test_anything_else_is_refused_with_what_to_do(
    saved: Callable[[], Any], options: dict[str, Any], tmp_path: Path
) -> None:
    torch.save(saved(), tmp_path / "file.pth", **options)
    with pytest.raises(CheckpointError, match="save the weights alone"):
        read_tensors(tmp_path / "file.pth", "torch")
