"""A checkpoint executes no code, hands out no object of this process, and takes little time and memory to refuse."""

import io
import os
import pickle
import struct
import tracemalloc
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_archs.weights.errors import CheckpointError
from keras_archs.weights.formats import pickles, torch_objects
from tests.support.torch_files import (
    Global,
    Instructions,
    assemble,
    numbers,
    read_torch,
    tensor,
    write_checkpoint,
    write_zip_checkpoint,
)


@pytest.mark.parametrize(
    ("module", "name"),
    [("os", "system"), ("builtins", "eval"), ("torch", "load"), ("numpy", "load"), ("collections", "Counter")],
)
def test_a_global_that_no_state_dict_needs_is_refused(module: str, name: str, tmp_path: Path) -> None:
    state = OrderedDict(tensor=Global(module, name, ("touch " + str(tmp_path / "touched"),)))
    with pytest.raises(CheckpointError, match=f"refused to load {module}.{name}"):
        read_torch(write_checkpoint(tmp_path / "file.pth", state))
    assert not (tmp_path / "touched").exists()


def test_a_plain_unpickler_executes_the_attack(tmp_path: Path) -> None:
    """Negative control of the test above."""
    attack = assemble(Global("os", "system", (f"touch {tmp_path / 'touched'}",))) + b"."
    assert pickle.load(io.BytesIO(attack)) == os.EX_OK
    assert (tmp_path / "touched").exists()


@pytest.mark.parametrize("name", [str(name) for name in torch_objects.CONSTRUCTORS])
def test_attributes_of_a_function_cannot_be_set(name: str, tmp_path: Path) -> None:
    module, _, function = name.rpartition(".")
    state = Instructions(assemble(Global(module, function)) + assemble({"changed": 1}) + b"b")
    with pytest.raises(CheckpointError, match="sets attributes of a value that is not a dictionary"):
        read_torch(write_checkpoint(tmp_path / "file.pth", state))


@pytest.mark.parametrize(
    "state",
    [
        assemble(tensor(numbers(), 0, (1,), (1,))) + assemble({"shape": (2**40,)}) + b"b",
        assemble(numbers()) + assemble({"length": 2**40}) + b"b",
        assemble(Global("collections", "OrderedDict", ())) + assemble(({}, {"__class__": 1})) + b"b",
        assemble(Global("torch", "FloatStorage", (1,))),
        assemble(Global("collections", "OrderedDict", ((("a", 1),),))),
        assemble((1, ())) + b"R",
    ],
    ids=["tensor", "storage", "slots", "call of a storage type", "call with items", "call of a tuple"],
)
def test_values_of_a_state_dict_cannot_be_changed_or_called(state: bytes, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        read_torch(write_checkpoint(tmp_path / "file.pth", Instructions(state), [numbers()]))


# A tuple of the tuple before, twice, again and again: its hash and its text take exponential time.
DOUBLED = b")q\x00" + b"".join(b"h%ch%c\x86q%c" % (level, level, level + 1) for level in range(100)) + b"h\x64"

LARGE = {
    "memo at 2^28": b"}r" + struct.pack("<I", 1 << 28) + b"0",
    "memo at 2^32 - 1": b"}r" + struct.pack("<I", (1 << 32) - 1),
    "text of 4 GB": b"X" + struct.pack("<I", (1 << 32) - 1),
    "text of 2^62 bytes": b"\x8d" + struct.pack("<Q", 1 << 62),
    "bytes of 2^40": b"\x8e" + struct.pack("<Q", 1 << 40),
    "number of 2 GB": b"\x8b" + struct.pack("<i", (1 << 31) - 1),
    "number of a million digits": b"L" + b"9" * 1_000_000 + b"L\n",
    "name of a megabyte": b"c" + b"x" * 1_000_000 + b"\n",
    "reference to doubled tuples": DOUBLED + b"Q",
    "doubled tuples as a key": b"}" + DOUBLED + b"Ns",
    "doubled tuples as a shape": assemble(tensor(numbers(), 0, Instructions(DOUBLED), (1,))),
    "nested 100,000 times": b")" + b"\x85" * 100_000,
    "a list as a key": b"}]Ns",
    "one value too few": b"N\x86",
    "a value from below a mark": b"N(R",
    "no mark": b"Nt",
    "an unknown place of the memo": b"h\x07",
    "a text that is not UTF-8": b"X\x01\x00\x00\x00\xff",
}


@pytest.mark.parametrize("state", LARGE.values(), ids=LARGE)
def test_a_small_file_takes_little_memory_to_refuse(state: bytes, tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "file.pth", Instructions(state), [numbers()])
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError):
            read_torch(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 30e6


@pytest.mark.parametrize(
    ("limit", "complaint"),
    [("MAX_BYTES", "is longer than 100 bytes"), ("MAX_INSTRUCTIONS", "has more than 100 instructions")],
)
def test_a_pickle_is_bounded(limit: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = Instructions(b"}" + assemble({f"key {number}": None for number in range(100)})[1:])
    path = write_checkpoint(tmp_path / "file.pth", state)
    with pytest.raises(CheckpointError, match="does not contain a state dict"):
        read_torch(path)
    monkeypatch.setattr(pickles, limit, 100)
    with pytest.raises(CheckpointError, match=complaint):
        read_torch(path)


def sound_file(folder: Path, write: Callable[..., Path] = write_checkpoint) -> bytes:
    first, second = numbers("1"), numbers("2")
    state = OrderedDict(
        rows=tensor(first, 0, (3, 4), (4, 1)),
        columns=tensor(first, 2, (3, 2), (1, 3)),
        repeated=tensor(second, 5, (2, 3), (0, 1)),
        scalar=tensor(second, 3, (), ()),
    )
    return write(folder / "sound.pth", state, [first, second]).read_bytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


def assert_tensors_of_the_file_or_refused(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    try:
        loaded = read_torch(path)
    except CheckpointError:
        return
    for array in loaded.values():
        assert array.size < len(data)
        assert all(number.tobytes() in data for number in array.reshape(-1, 1))


REPLACEMENTS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 4), st.binary(max_size=6)), min_size=1, max_size=4)


@pytest.mark.parametrize("write", [write_checkpoint, write_zip_checkpoint], ids=["before 1.6", "zip"])
@given(replacements=REPLACEMENTS)
def test_a_damaged_file_gives_numbers_of_the_file_or_is_refused(
    replacements: list[tuple[float, int, bytes]], write: Callable[..., Path], folder: Path
) -> None:
    data = sound_file(folder, write)
    for place, removed, inserted in replacements:
        start = int(place * len(data))
        data = data[:start] + inserted + data[start + removed :]
    assert_tensors_of_the_file_or_refused(folder / "damaged.pth", data)


PLAIN: list[Any] = [0, 1, 12, -1, 2**40, 2.5, "1", "storage", "cpu", (1,), OrderedDict()]
WORDS = [
    *(bytes([byte]) for byte in b"N\x88\x89)]}\x85\x86\x87t(RQaesub.0"),
    *(assemble(value) for value in PLAIN),
    *(assemble(Global(*name)) for name in torch_objects.CONSTRUCTORS),
    *(b"q\x00", b"q\x01", b"h\x00", b"h\x01"),
    assemble(numbers()),
    assemble(tensor(numbers(), 0, (3, 4), (4, 1))),
]


@given(words=st.lists(st.sampled_from(WORDS), max_size=30))
def test_any_instructions_give_numbers_of_the_file_or_are_refused(words: list[bytes], folder: Path) -> None:
    path = write_checkpoint(folder / "program.pth", Instructions(b"".join(words)), [numbers()])
    assert_tensors_of_the_file_or_refused(path, path.read_bytes())


def test_a_sound_file_of_the_test_above_is_read(folder: Path) -> None:
    path = folder / "sound.pth"
    path.write_bytes(sound_file(folder))
    assert {name: array.shape for name, array in read_torch(path).items()} == {
        "rows": (3, 4), "columns": (3, 2), "repeated": (2, 3), "scalar": ()
    }  # fmt: skip
    assert all(np.isfinite(array).all() for array in read_torch(path).values())
