"""The format of a file is known by its content; what is not a file of weights is told what it is."""

import io
import json
import pickle
import zipfile
from pathlib import Path

import pytest

from keras_archs.weights.errors import CheckpointError
from keras_archs.weights.formats.reading import format_of, read_tensors
from tests.support.networks import FIXTURES


@pytest.mark.parametrize(("file", "format"), [("resnet20-12fca82f.th", "torch"), ("mobilenet_2_5_224_tf.h5", "h5")])
def test_published_files_have_their_format_under_any_name(file: str, format: str, tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    path.write_bytes((FIXTURES / "weights" / file).read_bytes())
    assert format_of(path) == format


def zipped(*names: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name in names:
            file.writestr(name, "content")
    return content.getvalue()


OTHERS = {
    "nothing": (b"", "the file is empty"),
    "a server's error": (b"<!DOCTYPE html><html><body>404", "the file is a web page, probably a server's error"),
    "a server's other error": (b"\n  <?xml version='1.0'?><Error>", "the file is a web page"),
    "a message": (json.dumps({"error": "Entry not found"}).encode(), "neither HDF5, safetensors nor a checkpoint"),
    "a pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n",
        "a pointer of Git LFS instead of the file; fetch the file with git lfs pull",
    ),
    "a pickle": (pickle.dumps({"a": 1}, protocol=2), "a pickle that torch.save did not write; save the weights alone"),
    "gzip": (b"\x1f\x8b\x08" + bytes(100), "compressed with gzip; decompress it first"),
    "text": (b"hello", "neither HDF5, safetensors nor a checkpoint of Torch, or it is damaged"),
    "zeros": (bytes(1000), "neither HDF5, safetensors nor a checkpoint of Torch, or it is damaged"),
    "an empty zip file": (zipped(), "an empty zip file"),
    "a zip file of pictures": (zipped("a.jpg", "b.jpg"), "neither a checkpoint of Torch nor a single .pth file"),
    "a zip file of a picture": (zipped("a.jpg"), "neither a checkpoint of Torch nor a single .pth file"),
    "a zip file of two checkpoints": (zipped("a.pth", "b.pth"), "nor a single .pth file"),
    "a zip file that is cut off": (zipped("a.pth")[:30], "the zip file is damaged"),
    "a model that Keras saved": (
        zipped("metadata.json", "config.json", "model.weights.h5"),
        "a model that Keras saved; the name of such a file must end with .keras",
    ),
}


@pytest.mark.parametrize(("content", "complaint"), OTHERS.values(), ids=OTHERS)
def test_a_file_without_weights_is_told_what_it_is(content: bytes, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    for attempt in (format_of, lambda path: read_tensors(path, "torch")):
        with pytest.raises(CheckpointError, match=complaint) as error:
            attempt(path)
        assert str(error.value).startswith(f"{path}: ")


def test_another_format_than_the_expected_is_refused() -> None:
    path = FIXTURES / "weights/resnet20-12fca82f.th"
    with pytest.raises(CheckpointError, match="the format of the file is torch, not safetensors"):
        read_tensors(path, "safetensors")


def test_a_missing_file_and_a_folder_are_errors_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_tensors(tmp_path / "nowhere.pth", "torch")
    with pytest.raises(IsADirectoryError):
        format_of(tmp_path)
