"""State dicts are found and read in both formats of Torch, whatever wrote them; anything else says how to save them."""

import io
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from keras_archs.weights.errors import CheckpointError
from keras_archs.weights.formats.reading import format_of, read_tensors
from tests.support.networks import FIXTURES
from tests.support.torch_files import (
    Global,
    Instructions,
    Storage,
    assemble,
    numbers,
    python_2,
    read_torch,
    tensor,
    write_checkpoint,
    write_zip_checkpoint,
)

Write = Callable[..., Path]

both_formats = pytest.mark.parametrize("write", [write_checkpoint, write_zip_checkpoint], ids=["before 1.6", "zip"])


def conv(storage: Storage) -> OrderedDict[str, Any]:
    return OrderedDict(conv=tensor(storage, 0, (3, 4), (4, 1)))


def test_akamasters_resnet_20_is_read() -> None:
    """The file nests its state dict beside an accuracy, names tensors of DataParallel, and was on a GPU."""
    path = FIXTURES / "weights/resnet20-12fca82f.th"
    assert format_of(path) == "torch"
    tensors = read_tensors(path, "torch")
    assert (len(tensors), next(iter(tensors)), list(tensors)[-1]) == (97, "conv1.weight", "linear.bias")
    assert {tensor.dtype for tensor in tensors.values()} == {np.dtype("float32")}
    assert (
        sum(tensor.size for tensor in tensors.values() if tensor.ndim > 1) == 268_336
    )  # kernels, by the paper's sizes
    assert all(np.isfinite(tensor).all() for tensor in tensors.values())


@both_formats
def test_tensors_keep_order_offset_and_stride(write: Write, tmp_path: Path) -> None:
    first, second = numbers("10"), numbers("9")
    state = OrderedDict(
        rows=tensor(first, 0, (3, 4), (4, 1)),
        columns=tensor(first, 0, (4, 3), (1, 4)),
        tail=tensor(second, 7, (5,), (1,)),
        scalar=tensor(second, 3, (), ()),
    )
    loaded = read_torch(write(tmp_path / "file.pth", state, [first, second]))
    assert list(loaded) == ["rows", "columns", "tail", "scalar"]
    np.testing.assert_array_equal(loaded["columns"], loaded["rows"].T)
    np.testing.assert_array_equal(loaded["tail"], np.arange(7, 12))
    assert float(loaded["scalar"]) == 3
    assert np.shares_memory(loaded["rows"], loaded["columns"])


@both_formats
@pytest.mark.parametrize("place", ["state_dict", "state_dict_ema", "model", "net"])
def test_a_state_dict_is_found_beside_plain_values(place: str, write: Write, tmp_path: Path) -> None:
    storage = numbers()
    saved = OrderedDict({"epoch": 90, "best_prec1": 91.8, "arch": "resnet20", place: conv(storage), "none": None})
    assert list(read_torch(write(tmp_path / "file.pth", saved, [storage]))) == ["conv"]


@both_formats
def test_a_tensor_may_be_called_as_a_place_of_state_dicts(write: Write, tmp_path: Path) -> None:
    storage = numbers()
    state = OrderedDict(model=tensor(storage, 0, (12,), (1,)), net=tensor(storage, 0, (12,), (1,)))
    assert list(read_torch(write(tmp_path / "file.pth", state, [storage]))) == ["model", "net"]


@both_formats
def test_the_prefix_of_data_parallel_is_left_out_if_all_names_have_it(write: Write, tmp_path: Path) -> None:
    storage = numbers()
    one = tensor(storage, 0, (12,), (1,))
    for names, expected in (
        (["module.conv", "module.module.fc"], ["conv", "module.fc"]),
        (["module.conv", "fc"], ["module.conv", "fc"]),
    ):
        path = write(tmp_path / "file.pth", OrderedDict.fromkeys(names, one), [storage])
        assert list(read_torch(path)) == expected


@both_formats
def test_parameters_and_tensors_of_old_versions_are_read(write: Write, tmp_path: Path) -> None:
    storage = Storage("1", np.arange(12, dtype=np.float32), location="cuda:0")
    old = Global("torch._utils", "_rebuild_tensor", (storage, 0, (12,), (1,)))
    parameter = Global("torch._utils", "_rebuild_parameter", (conv(storage)["conv"], True, OrderedDict()))
    loaded = read_torch(write(tmp_path / "file.pth", OrderedDict(old=old, parameter=parameter), [storage]))
    np.testing.assert_array_equal(loaded["old"], np.arange(12))
    assert loaded["parameter"].shape == (3, 4)


@both_formats
def test_pickles_of_python_2_are_read(write: Write, tmp_path: Path) -> None:
    storage = numbers()
    state = python_2(OrderedDict({"conv1.weight": conv(storage)["conv"], "conv1.bias": tensor(storage, 0, (3,), (1,))}))
    loaded = read_torch(write(tmp_path / "file.pth", state, [storage]))
    assert {name: array.shape for name, array in loaded.items()} == {"conv1.weight": (3, 4), "conv1.bias": (3,)}


@both_formats
@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("HalfStorage", np.float16), ("BFloat16Storage", ml_dtypes.bfloat16), ("DoubleStorage", np.float64)],
)
def test_floating_point_numbers_are_returned_as_float32(kind: str, dtype: Any, write: Write, tmp_path: Path) -> None:
    values = np.array([0, 1, -2.5, 65280, 2**-14, np.inf], dtype)  # exact in each precision
    storage = Storage("1", values, kind=kind)
    state = OrderedDict(conv=tensor(storage, 1, (5,), (1,)))
    loaded = read_torch(write(tmp_path / "file.pth", state, [storage]))["conv"]
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded, np.array([1, -2.5, 65280, 2**-14, np.inf], np.float32))


@both_formats
def test_integers_stay_integers(write: Write, tmp_path: Path) -> None:
    storage = Storage("1", np.array([2**40]), kind="LongStorage")
    state = OrderedDict({"bn.num_batches_tracked": tensor(storage, 0, (), ())})
    loaded = read_torch(write(tmp_path / "file.pth", state, [storage]))
    assert loaded["bn.num_batches_tracked"].dtype == np.int64
    assert int(loaded["bn.num_batches_tracked"]) == 2**40


OTHERS = {
    "options": (OrderedDict(args=Global("argparse", "Namespace", ())), "refused to load argparse.Namespace"),
    "NumPy number": (
        OrderedDict(best=Global("numpy.core.multiarray", "scalar", ())),
        "refused to load numpy.core.multiarray.scalar",
    ),
    "whole network": (Global("torchvision.models.resnet", "ResNet", ()), "refused to load torchvision.models.resnet"),
    "8 bits": (OrderedDict(a=Global("torch._utils", "_rebuild_tensor_v3", ())), "refused to load torch._utils"),
    "optimizer": (
        OrderedDict(state_dict=OrderedDict(), optimizer=Instructions(b"}K\x00}s")),
        "such as the state of an optimizer",
    ),
    "learning rates": (OrderedDict(state_dict=OrderedDict(), lrs={"a": 1}), "beside .* contains 'lrs'"),
    "two state dicts": (OrderedDict(model=OrderedDict(), state_dict=OrderedDict()), "several .*, state_dict, model"),
    "list": ([1, 2], "does not contain a state dict"),
    "numbers": (OrderedDict(a=1), "does not contain a state dict of tensors"),
    "numbers in a place": (OrderedDict(net=OrderedDict(a=1)), "does not contain a state dict of tensors"),
}


@both_formats
@pytest.mark.parametrize(("saved", "complaint"), OTHERS.values(), ids=OTHERS)
def test_a_file_with_more_than_weights_says_how_to_save_them(
    saved: Any, complaint: str, write: Write, tmp_path: Path
) -> None:
    path = write(tmp_path / "file.pth", saved)
    with pytest.raises(CheckpointError, match=complaint) as error:
        read_torch(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "safetensors.torch.save_file(model.state_dict(), path)" in str(error.value)


@both_formats
def test_another_protocol_of_pickles_is_refused(write: Write, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="has protocol 4, but Torch's own is 2"):
        read_torch(write(tmp_path / "file.pth", Instructions(b"\x80\x04}")))


@both_formats
def test_a_name_that_occurs_twice_is_refused(write: Write, tmp_path: Path) -> None:
    one = assemble("a") + assemble(tensor(numbers(), 0, (12,), (1,)))
    pair = b"](" + one + b"e"
    for state in (b"}(" + one + one + b"u", b"ccollections\nOrderedDict\n(](" + pair + pair + b"etR"):
        with pytest.raises(CheckpointError, match=r"sets an item .* twice|items that Torch does not write"):
            read_torch(write(tmp_path / "file.pth", Instructions(state), [numbers()]))


@pytest.mark.parametrize(
    ("entries", "complaint"),
    [
        ({"data/1": bytes(44)}, "archive/data/1 has 44 bytes, but its tensors expect 48"),
        ({"data/1": bytes(52)}, "archive/data/1 has 52 bytes, but its tensors expect 48"),
        ({"data/1": None}, "has no entry archive/data/1"),
        ({"data.pkl": None}, "neither a checkpoint of Torch nor a single .pth file"),
        ({"byteorder": b"big"}, "not written on a little-endian machine"),
        ({"constants.pkl": b""}, r"a program \(TorchScript\), not a state dict; save the weights alone"),
    ],
)
def test_a_zip_file_with_unfitting_entries_is_refused(
    entries: dict[str, bytes | None], complaint: str, tmp_path: Path
) -> None:
    storage = numbers()
    with pytest.raises(CheckpointError, match=complaint):
        read_torch(write_zip_checkpoint(tmp_path / "file.pth", conv(storage), [storage], **entries))


def test_a_zip_file_of_torch_before_2_says_nothing_about_the_order_of_bytes(tmp_path: Path) -> None:
    storage = numbers()
    path = write_zip_checkpoint(tmp_path / "file.pth", conv(storage), [storage], byteorder=None)
    assert list(read_torch(path)) == ["conv"]


def test_a_zip_checkpoint_truncated_or_damaged_anywhere_is_refused(tmp_path: Path) -> None:
    storage = numbers()
    path = write_zip_checkpoint(tmp_path / "file.pth", conv(storage), [storage])
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError):
            read_torch(path)
    place = whole.index(storage.values.tobytes()) + 20
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with pytest.raises(CheckpointError, match="the zip file is damaged: Bad CRC-32"):
        read_torch(path)


@both_formats
@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_a_checkpoint_inside_a_zip_file_is_read(method: int, write: Write, tmp_path: Path) -> None:
    storage = Storage("1", np.random.default_rng(0).normal(size=500_000).astype(np.float32))
    inner = write(tmp_path / "inner.pth", OrderedDict(conv=tensor(storage, 0, (500_000,), (1,))), [storage])
    path = tmp_path / "file.pth.zip"
    with zipfile.ZipFile(path, "w", method) as file:
        file.write(inner, "net-0774-d79ba5f5.pth")
    assert format_of(path) == "zipped-torch"
    np.testing.assert_array_equal(read_tensors(path, "zipped-torch")["conv"], storage.values)


@both_formats
def test_a_damaged_checkpoint_inside_a_zip_file_is_refused(write: Write, tmp_path: Path) -> None:
    storage = Storage("1", np.random.default_rng(0).normal(size=10_000).astype(np.float32))
    inner = write(tmp_path / "inner.pth", OrderedDict(conv=tensor(storage, 0, (10_000,), (1,))), [storage])
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        file.write(inner, "net.pth")
    whole = content.getvalue()
    path = tmp_path / "file.pth.zip"
    damages = [whole[:length] for length in range(0, len(whole), 4001)]
    damages += [whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :] for place in range(50, 35_000, 4001)]
    for damaged in damages:
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError):
            read_tensors(path, "zipped-torch")
