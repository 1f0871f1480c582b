"""The reader of Torch's first format returns the tensors of a state dict, whatever their strides, and nothing else."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_archs.weights.errors import CheckpointError
from tests.support.torch_files import Global, Instructions, numbers, read_torch, tensor, write_checkpoint


def test_tensors_are_read_with_offset_and_stride(tmp_path: Path) -> None:
    first, second = numbers("1"), numbers("2")
    state = OrderedDict(
        rows=tensor(first, 0, (3, 4), (4, 1)),
        columns=tensor(first, 0, (4, 3), (1, 4)),
        tail=tensor(second, 7, (5,), (1,)),
        scalar=tensor(second, 3, (), ()),
        empty=tensor(second, 0, (0,), (1,)),
        repeated=tensor(second, 5, (2, 3), (0, 1)),
        one=tensor(second, 11, (1,), (2**62,)),
    )
    loaded = read_torch(write_checkpoint(tmp_path / "file.pth", state, [second, first]))
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert list(loaded) == ["rows", "columns", "tail", "scalar", "empty", "repeated", "one"]
    np.testing.assert_array_equal(loaded["rows"], rows)
    np.testing.assert_array_equal(loaded["columns"], rows.T)
    np.testing.assert_array_equal(loaded["tail"], np.arange(7, 12))
    assert (loaded["scalar"].shape, float(loaded["scalar"])) == ((), 3.0)
    assert loaded["empty"].shape == (0,)
    np.testing.assert_array_equal(loaded["repeated"], [[5, 6, 7], [5, 6, 7]])
    np.testing.assert_array_equal(loaded["one"], [11])  # its stride is never used


def test_tensors_of_one_storage_take_its_memory_once(tmp_path: Path) -> None:
    storage = numbers()
    state = OrderedDict(one=tensor(storage, 0, (12,), (1,)), two=tensor(storage, 0, (3, 4), (4, 1)))
    loaded = read_torch(write_checkpoint(tmp_path / "file.pth", state, [storage]))
    assert np.shares_memory(loaded["one"], loaded["two"])
    assert not loaded["one"].flags.writeable


def test_the_attributes_of_a_state_dict_are_ignored(tmp_path: Path) -> None:
    """Torch stores the versions of a network's modules there."""
    attributes = Instructions(b"}X\x09\x00\x00\x00_metadataccollections\nOrderedDict\n)Rs")
    storage = numbers()
    state = Instructions(b"ccollections\nOrderedDict\n)R" + attributes + b"b")
    assert read_torch(write_checkpoint(tmp_path / "empty.pth", state)) == {}
    hooks = Global("torch._utils", "_rebuild_tensor_v2", (storage, 0, (12,), (1,), True, OrderedDict(), None))
    loaded = read_torch(write_checkpoint(tmp_path / "more.pth", OrderedDict(a=hooks), [storage]))
    np.testing.assert_array_equal(loaded["a"], np.arange(12))


UNSOUND = {
    "too long": tensor(numbers(), 0, (13,), (1,)),
    "too late": tensor(numbers(), 10, (3,), (1,)),
    "too high": tensor(numbers(), 0, (4, 4), (4, 1)),
    "offset below 0": tensor(numbers(), -1, (1,), (1,)),
    "stride below 0": tensor(numbers(), 11, (2,), (-1,)),
    "huge stride": tensor(numbers(), 0, (2,), (2**62,)),
    "huge offset": tensor(numbers(), 2**62, (), ()),
    "memory bomb": tensor(numbers(), 0, (10**12,), (0,)),
    "empty, but huge": tensor(numbers(), 0, (0, 2**60, 2**60), (1, 1, 1)),
    "70 dimensions": tensor(numbers(), 0, (1,) * 70, (1,) * 70),
    "one stride too few": tensor(numbers(), 0, (2, 2), (1,)),
    "fractional shape": tensor(numbers(), 0, (2.0,), (1,)),
    "boolean shape": tensor(numbers(), 0, (True,), (1,)),
    "no shape": tensor(numbers(), 0, None, (1,)),
    "no offset": tensor(numbers(), None, (2,), (1,)),
    "no storage": tensor("not a storage", 0, (1,), (1,)),
    "no arguments": Global("torch._utils", "_rebuild_tensor_v2", ()),
    "storage below 0": tensor(numbers(length=-1), 0, (1,), (1,)),
    "storage longer than the file's": tensor(numbers(length=10**9), 0, (10**9,), (1,)),
    "key that is a number": tensor(numbers(1), 0, (1,), (1,)),
    "no tensor": "no tensor at all",
}


@pytest.mark.parametrize("view", UNSOUND.values(), ids=UNSOUND)
def test_tensors_beyond_their_storage_are_refused(view: Any, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        read_torch(write_checkpoint(tmp_path / "file.pth", OrderedDict(view=view), [numbers()]))


@pytest.mark.parametrize("lengths", [(12, 10**6), (10**6, 12), (12, 11)])
def test_tensors_that_disagree_on_their_storage_are_refused(lengths: tuple[int, int], tmp_path: Path) -> None:
    """A tensor that is checked against the longer storage would read memory behind the shorter storage."""
    views = {str(place): tensor(numbers(length=length), length - 4, (4,), (1,)) for place, length in enumerate(lengths)}
    with pytest.raises(CheckpointError, match="two tensors disagree on the length or the type of their storage"):
        read_torch(write_checkpoint(tmp_path / "file.pth", OrderedDict(views), [numbers()]))


@pytest.mark.parametrize("length", [2**60, 2**62, 2**63 - 1, 13])
def test_a_storage_longer_than_the_rest_of_the_file_is_refused(length: int, tmp_path: Path) -> None:
    storage = numbers(length=length)
    path = write_checkpoint(
        tmp_path / "file.pth", OrderedDict(a=tensor(storage, 0, (1,), (1,))), [storage], length=length
    )
    with pytest.raises(CheckpointError, match="the file ends within storage '1'"):
        read_torch(path)


def test_a_file_truncated_at_any_byte_is_refused(tmp_path: Path) -> None:
    storage = numbers()
    path = write_checkpoint(tmp_path / "file.pth", OrderedDict(rows=tensor(storage, 0, (12,), (1,))), [storage])
    whole = path.read_bytes()
    assert list(read_torch(path)) == ["rows"]
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError):
            read_torch(path)


def test_other_formats_and_headers_are_refused(tmp_path: Path) -> None:
    zipped = tmp_path / "zip.pth"
    zipped.write_bytes(b"PK\x03\x04" + bytes(100))
    storage = numbers()
    state = OrderedDict(rows=tensor(storage, 0, (12,), (1,)))
    for file, complaint in (
        (zipped, "the zip file is damaged"),
        (write_checkpoint(tmp_path / "1.pth", state, [storage], protocol=1000), "not a checkpoint in the format"),
        (write_checkpoint(tmp_path / "2.pth", state, [storage], little_endian=False), "little-endian"),
        (write_checkpoint(tmp_path / "3.pth", state, [storage, numbers("2")]), "list of storages does not match"),
        (write_checkpoint(tmp_path / "4.pth", state, [storage, numbers(2)]), "list of storages does not match"),
        (write_checkpoint(tmp_path / "5.pth", [1, 2]), "does not contain a state dict"),
    ):
        with pytest.raises(CheckpointError, match=complaint) as error:
            read_torch(file)
        assert str(error.value).startswith(f"{file}: ")
