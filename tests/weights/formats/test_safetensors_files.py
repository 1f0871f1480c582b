"""Files of safetensors are read without Torch; a header that lies is refused before memory is taken for it."""

import json
import os
import struct
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import psutil
import pytest
from safetensors.numpy import save_file

from keras_archs.weights.errors import CheckpointError
from keras_archs.weights.formats.reading import format_of, read_tensors


def write(path: Path, header: Mapping[str, Any] | bytes, content: bytes, length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + content)
    return path


def entry(dtype: str, shape: list[int], start: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def read(path: Path) -> dict[str, Any]:
    return read_tensors(path, "safetensors")


def test_tensors_are_read_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    header = {
        "__metadata__": {"format": "pt"},
        "b.weight": entry("F32", [2, 2], 8, 24),
        "b.bias": entry("F32", [2], 0, 8),
    }
    write(path, header, np.arange(6, dtype="<f4").tobytes())
    assert format_of(path) == "safetensors"
    tensors = read(path)
    assert list(tensors) == ["b.bias", "b.weight"]
    np.testing.assert_array_equal(tensors["b.weight"], [[2, 3], [4, 5]])


def test_a_file_that_the_library_wrote_is_read(tmp_path: Path) -> None:
    tensors = {
        "module.conv": np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32),
        "module.bn.num_batches_tracked": np.array(7),
    }
    save_file(tensors, tmp_path / "model.safetensors")
    loaded = read(tmp_path / "model.safetensors")
    assert loaded.keys() == {"conv", "bn.num_batches_tracked"}
    np.testing.assert_array_equal(loaded["conv"], tensors["module.conv"])
    assert loaded["bn.num_batches_tracked"].dtype == np.int64


@pytest.mark.parametrize(
    ("name", "dtype"), [("F16", np.dtype("<f2")), ("BF16", np.dtype(ml_dtypes.bfloat16)), ("F64", np.dtype("<f8"))]
)
def test_floating_point_numbers_are_returned_as_float32(name: str, dtype: np.dtype[Any], tmp_path: Path) -> None:
    values = np.array([1, -2.5, 65280, 2**-14, np.inf], dtype)  # exact in each precision
    path = write(tmp_path / "a", {"a": entry(name, [5], 0, values.nbytes)}, values.tobytes())
    loaded = read(path)["a"]
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded, np.array([1, -2.5, 65280, 2**-14, np.inf], np.float32))


@pytest.mark.parametrize(("name", "size"), [("F8_E4M3", 1), ("F8_E5M2", 1), ("C64", 8)])
def test_types_that_weights_have_not_are_refused_by_name(name: str, size: int, tmp_path: Path) -> None:
    path = write(tmp_path / "a", {"conv": entry(name, [2], 0, 2 * size)}, bytes(2 * size))
    with pytest.raises(CheckpointError, match=f"conv has the type {name}; allowed are F64, F32"):
        read(path)


UNSOUND: dict[str, tuple[dict[str, Any] | bytes, int]] = {
    "overlap": ({"a": entry("F32", [2], 0, 8), "b": entry("F32", [2], 4, 12)}, 12),
    "same place": ({"a": entry("F32", [2], 0, 8), "b": entry("F32", [2], 0, 8)}, 8),
    "gap": ({"a": entry("F32", [2], 0, 8), "b": entry("F32", [2], 12, 20)}, 20),
    "gap before": ({"a": entry("F32", [2], 4, 12)}, 12),
    "content left over": ({"a": entry("F32", [2], 0, 8)}, 12),
    "content missing": ({"a": entry("F32", [2], 0, 8)}, 4),
    "longer than its shape": ({"a": entry("F32", [1], 0, 8)}, 8),
    "shorter than its shape": ({"a": entry("F32", [3], 0, 8)}, 8),
    "end before start": ({"a": entry("F32", [2], 8, 0)}, 8),
    "huge shape": ({"a": entry("F32", [2**62, 8], 0, 8)}, 8),
    "huge empty shape": ({"a": entry("F32", [0, 2**61, 2**61], 0, 0)}, 0),
    "70 dimensions": ({"a": entry("F32", [1] * 70, 0, 4)}, 4),
    "side below 0": ({"a": entry("F32", [-1, -2], 0, 8)}, 8),
    "unknown type": ({"a": entry("F31", [2], 0, 8)}, 8),
    "no offsets": ({"a": {"dtype": "F32", "shape": [2]}}, 8),
    "no JSON": (b'{"a": {', 8),
    "one name, two places": (
        b'{"a":%s,"a":%s}' % tuple(json.dumps(entry("F32", [1], start, start + 4)).encode() for start in (0, 4)),
        8,
    ),
    "nested 100,000 times": (b'{"a":' + b"[" * 100_000, 8),
}


@pytest.mark.parametrize(("header", "length"), UNSOUND.values(), ids=UNSOUND)
def test_a_header_that_does_not_describe_the_file_is_refused(
    header: dict[str, Any] | bytes, length: int, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="the file is damaged"):
        read(write(tmp_path / "a", header, bytes(length)))


@pytest.mark.parametrize("length", [2**31, 2**63 + 5, 2**64 - 1, 5_000_000])
def test_a_long_header_is_refused_before_it_is_read(length: int, tmp_path: Path) -> None:
    path = write(tmp_path / "a", {"a": entry("F32", [2], 0, 8)}, bytes(8), length=length)
    if length == 2**31:
        os.truncate(path, 2**31 + 100)  # the file really has the bytes, without taking space
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=f"the header states a length of {length:,} bytes"):
            read(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1e6
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_truncated_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    save_file({"a": np.ones(3, np.float32), "b": np.ones((2, 2), np.float16)}, path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError):
            read(path)


def test_reading_leaves_the_file_closed_and_the_arrays_valid(tmp_path: Path) -> None:
    path = tmp_path / "a"
    save_file({"a": np.arange(1000, dtype=np.float32)}, path)
    loaded = read(path)["a"]
    path.write_bytes(bytes(10))
    path.unlink()
    np.testing.assert_array_equal(loaded, np.arange(1000))
    assert not any(file.path.startswith(str(tmp_path)) for file in psutil.Process().open_files())
