"""A zip file that is small, and says or becomes something large, is refused before it takes memory."""

import io
import struct
import tracemalloc
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest

from keras_archs.weights.errors import CheckpointError
from keras_archs.weights.formats.reading import format_of, read_tensors
from tests.support.torch_files import (
    Global,
    Storage,
    numbers,
    read_torch,
    tensor,
    write_checkpoint,
    write_zip_checkpoint,
)

GIGABYTE = 1_000_000_000


@pytest.fixture(autouse=True)
def work_in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an attack makes in the working directory is found in the test's folder."""
    monkeypatch.chdir(tmp_path)


@contextmanager
def refused(complaint: str, folder: Path, *, below: float = 10e6) -> Iterator[None]:
    """Expects a refusal that takes little memory, and makes no file and no process."""

    def traces() -> tuple[object, object]:
        return sorted(folder.rglob("*")), psutil.Process().children()

    before = traces()
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=complaint):
            yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < below
    assert traces() == before


def deflated(name: str, length: int) -> bytes:
    """Return a zip file with one entry of zeros, a thousandth as long."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file, file.open(name, "w") as entry:
        for _ in range(length // 1_000_000):
            entry.write(bytes(1_000_000))
    return content.getvalue()


def with_size(whole: bytes, size: int) -> bytes:
    """Return a zip file of one entry that states another length of its content, in entry and directory."""
    directory = whole.index(b"PK\x01\x02")
    lie = struct.pack("<I", size)
    return whole[:22] + lie + whole[26 : directory + 24] + lie + whole[directory + 28 :]


def test_an_entry_that_grows_a_thousandfold_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth.zip"
    path.write_bytes(deflated("net.pth", 100_000_000))
    assert path.stat().st_size < 100_000
    with refused("net.pth would grow from .* to 100,000,000 bytes", tmp_path):
        read_tensors(path, "zipped-torch")


def test_an_entry_that_is_longer_than_it_states_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "liar.pth.zip"
    content = io.BytesIO()
    checkpoint = write_zip_checkpoint(tmp_path / "inner.pth", OrderedDict()).read_bytes()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("net.pth", checkpoint + bytes(50_000_000))
    path.write_bytes(with_size(content.getvalue(), 1000))
    with refused("the zip file is damaged", tmp_path):
        read_tensors(path, "zipped-torch")


def test_an_entry_that_is_shorter_than_it_states_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "liar.pth.zip"
    storage = numbers()
    checkpoint = write_checkpoint(tmp_path / "inner.pth", OrderedDict(a=tensor(storage, 0, (12,), (1,))), [storage])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("net.pth", checkpoint.read_bytes()[:-1])
    path.write_bytes(with_size(path.read_bytes(), checkpoint.stat().st_size))
    with refused("the file ends within storage '1'", tmp_path):
        read_tensors(path, "zipped-torch")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_of_compression_are_refused(method: int, tmp_path: Path) -> None:
    path = tmp_path / "file.pth.zip"
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr("net.pth", b"text")
    with refused("net.pth is compressed by a method that is not allowed", tmp_path):
        read_tensors(path, "zipped-torch")


def deflated_entry(path: Path, name: str) -> None:
    """Write a checkpoint anew with one entry compressed."""
    with zipfile.ZipFile(path) as sound:
        content = {entry: sound.read(entry) for entry in sound.namelist()}
    with zipfile.ZipFile(path, "w") as file:
        for entry, data in content.items():
            file.writestr(entry, data, zipfile.ZIP_DEFLATED if entry == name else zipfile.ZIP_STORED)


@pytest.mark.parametrize("name", ["archive/data/1", "archive/data.pkl", "archive/byteorder"])
def test_a_compressed_entry_of_a_checkpoint_is_refused(name: str, tmp_path: Path) -> None:
    storage = Storage("1", np.zeros(25_000_000, np.float32))
    state = OrderedDict(conv=tensor(storage, 0, (25_000_000,), (1,)))
    path = write_zip_checkpoint(tmp_path / "file.pth", state, [storage])
    deflated_entry(path, name)
    with refused(f"{name} is compressed, which Torch does not do", tmp_path):
        read_torch(path)


def test_a_storage_of_which_the_file_has_only_the_promise_is_refused(tmp_path: Path) -> None:
    storage = Storage("1", np.zeros(3, np.float32), length=GIGABYTE)
    state = OrderedDict(conv=tensor(storage, 0, (GIGABYTE,), (1,)))
    path = write_zip_checkpoint(tmp_path / "file.pth", state, [storage])
    with refused("archive/data/1 has 12 bytes, but its tensors expect 4,000,000,000", tmp_path):
        read_torch(path)


def test_a_directory_of_a_million_entries_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<HHH", 1, 0, 0) + bytes(12) + b"x"
    directory = entry * 1_000_000
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, len(directory), 4, 0)
    path.write_bytes(b"PK\x03\x04" + directory + end)
    with refused("the directory of the zip file is longer than 4,000,000 bytes", tmp_path):
        format_of(path)


def test_a_directory_that_is_longer_than_the_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    path.write_bytes(b"PK\x03\x04PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, 0xFFFFFFF0, 4, 0))
    with refused("the zip file is damaged", tmp_path):
        format_of(path)


def overlapping(names: list[str], content: bytes) -> bytes:
    """Return a zip file whose entries all have the same place, and names of the same length."""
    fields = struct.pack("<HHHHIIIHH", 0, 0, 0, 0, zlib.crc32(content), len(content), len(content), len(names[0]), 0)
    start = b"PK\x03\x04\x14\x00" + fields + names[0].encode() + content
    directory = b"".join(b"PK\x01\x02\x14\x00\x14\x00" + fields + bytes(14) + name.encode() for name in names)
    end = struct.pack("<HHHHIIH", 0, 0, len(names), len(names), len(directory), len(start), 0)
    return start + directory + b"PK\x05\x06" + end


@pytest.mark.parametrize("names", [["a/data.pkl", "a/data/001", "a/data/002"], ["a/data.pkl"] * 3])
def test_entries_in_the_same_place_are_refused(names: list[str], tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    path.write_bytes(overlapping(names, bytes(1000)))
    with refused("the entries of the zip file overlap", tmp_path):
        read_torch(path)


@pytest.mark.parametrize("write", [write_checkpoint, write_zip_checkpoint], ids=["before 1.6", "zip"])
@pytest.mark.parametrize(("module", "name"), [("os", "system"), ("malicious_module", "system")])
def test_a_malicious_pickle_calls_and_imports_nothing(
    module: str, name: str, write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "malicious_module.py").write_text("import pathlib; pathlib.Path('imported').touch()")
    monkeypatch.syspath_prepend(tmp_path)
    path = write(tmp_path / "file.pth", OrderedDict(conv=Global(module, name, ("touch called",))))
    with zipfile.ZipFile(tmp_path / "file.pth.zip", "w") as file:
        file.write(path, "net.pth")
    with refused(f"refused to load {module}.system", tmp_path):
        read_torch(path)
    with refused(f"refused to load {module}.system", tmp_path):
        read_tensors(tmp_path / "file.pth.zip", "zipped-torch")


def test_an_encrypted_entry_is_refused(tmp_path: Path) -> None:
    path = write_zip_checkpoint(tmp_path / "file.pth", OrderedDict())
    whole = path.read_bytes()
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = whole.index(signature) + place
        whole = whole[:start] + b"\x01" + whole[start + 1 :]
    path.write_bytes(whole)
    with refused("the zip file is damaged: .* is encrypted", tmp_path):
        read_torch(path)


def test_large_checkpoints_with_64_bit_fields_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = numbers()
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 10)  # every field becomes a 64-bit field
    path = write_zip_checkpoint(tmp_path / "file.pth", OrderedDict(a=tensor(storage, 0, (12,), (1,))), [storage])
    monkeypatch.undo()
    assert b"PK\x06\x06" in path.read_bytes()
    assert list(read_torch(path)) == ["a"]


def test_the_bound_of_directories_holds_real_checkpoints(tmp_path: Path) -> None:
    """The largest networks, EfficientNet-B7 and V2-L, have about 2,000 tensors."""
    storages = [numbers(str(number)) for number in range(5_000)]
    state = OrderedDict((storage.key, tensor(storage, 0, (12,), (1,))) for storage in storages)
    assert len(read_torch(write_zip_checkpoint(tmp_path / "file.pth", state, storages))) == 5_000
