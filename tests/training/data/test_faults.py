"""All faults of a data set are reported together."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage import data as pictures

from keras_archs.training import image_folder
from keras_archs.training.data.dataset import Split
from keras_archs.training.data.faults import find_faults


def write(root: Path, name: str, count: int, seed: int) -> None:
    """Write images of noise, which are all different."""
    rng = np.random.default_rng(seed)
    (root / name).mkdir(parents=True)
    for number in range(count):
        Image.fromarray(rng.integers(0, 255, (8, 8), np.uint8)).resize((90, 90)).save(root / name / f"{number}.png")


def test_each_fault_that_was_planted_is_reported(tmp_path: Path) -> None:
    for seed, (name, count) in enumerate(
        {"train/cup": 20, "train/cat": 20, "train/owl": 6, "val/cat": 8, "val/cup": 8}.items()
    ):
        write(tmp_path, name, count, seed)
    (tmp_path / "train" / "eel").mkdir()
    (tmp_path / "train" / "notes.txt").touch()
    (tmp_path / "train" / "cup" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    for name in ("train/cat/leak.png", "val/cat/leak.jpg"):
        Image.fromarray(pictures.chelsea()).save(tmp_path / name)
    data = image_folder(tmp_path)
    wrong = data.train.paths.index("train/cup/3.png")
    features: dict[Split, NDArray[np.float32]] = {"train": np.eye(3, dtype=np.float32)[data.train.classes]}
    features["train"][wrong] = [1, 0, 0]
    faults = find_faults(data, features)
    assert [(pair.first, pair.second) for pair in faults.duplicates] == [("train/cat/leak.png", "val/cat/leak.jpg")]
    (suspect,) = faults.suspects
    assert (suspect.path, data.classes[suspect.given], data.classes[suspect.suggested]) == (
        "train/cup/3.png", "cup", "cat",
    )  # fmt: skip
    assert faults.small_classes == {"owl": 5}
    assert list(faults.unreadable) == ["train/cup/broken.jpg"]
    assert (faults.empty_classes, faults.ignored) == (("train/eel",), ("train/notes.txt",))
    assert find_faults(data).suspects == ()


def test_a_class_is_small_beside_much_larger_classes(tmp_path: Path) -> None:
    for seed, (name, count) in enumerate({"a": 140, "b": 150, "c": 15}.items()):
        write(tmp_path, name, count, seed)
    data = image_folder(tmp_path)
    for place, path in enumerate(data.train.paths):
        if path.startswith("c/") and place % 2:
            (tmp_path / path).write_bytes(b"")
    assert list(find_faults(data).small_classes) == ["c"]
    assert find_faults(data).small_classes["c"] < 10


def test_without_imagehash_the_package_to_install_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a", 2, 0)
    write(tmp_path, "b", 2, 1)
    monkeypatch.setitem(sys.modules, "imagehash", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'keras-archs\[train\]'"):
        find_faults(image_folder(tmp_path))
