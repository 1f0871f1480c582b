"""A builder's `weights` argument: files that Keras wrote, and what is said when weights cannot be had."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

import keras_archs
from keras_archs.cards.origin import origin_of
from keras_archs.repository.checksums import sha256_of
from keras_archs.weights.errors import CheckpointError
from keras_archs.weights.fingerprint import fingerprint_of
from tests.support.networks import photographs


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_weights_from_a_file(suffix: str, tmp_path: Path, calibrate: Callable[[keras.Model], keras.Model]) -> None:
    path = tmp_path / f"mine{suffix}"
    saved = calibrate(keras_archs.EfficientNetLite0(classes=4, input_shape=(64, 64, 3)))
    (saved.save if suffix == ".keras" else saved.save_weights)(path)
    for weights in (path, str(path)):
        model = keras_archs.EfficientNetLite0(
            classes=4, input_shape=(None, None, 3), weights=weights, name="other", prefix="other_"
        )
        np.testing.assert_array_equal(model(photographs(64, 64)), saved(photographs(64, 64)))
        origin = origin_of(model)
        assert origin is not None
        assert origin.weights is not None
        assert (origin.weights.tag, origin.weights.sha256) == (path.name, sha256_of(path))
        assert origin.weights.fingerprint == fingerprint_of(saved)
        assert origin.weights.entry is None
    for arguments in ({"classes": 5}, {"include_top": False}):
        with pytest.raises(ValueError, match=f"{path.name} does not fit 'efficientnetlite0'"):
            keras_archs.EfficientNetLite0(weights=path, **arguments)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.keras"):
        keras_archs.EfficientNetLite0(weights=tmp_path / "nowhere.keras")


@pytest.mark.parametrize("name", ["mine.pth", "mine.safetensors", "mine.h5"])
def test_a_file_of_another_format_is_an_error_that_says_how_to_convert_it(name: str, tmp_path: Path) -> None:
    for weights in (tmp_path / name, str(tmp_path / name)):
        with pytest.raises(ValueError, match=rf"keras-archs weights convert --arch NETWORK {name} out\.weights\.h5"):
            keras_archs.ResNet20(weights=weights)


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_a_damaged_file_of_keras_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"mine{suffix}"
    saved = keras_archs.ResNet20(classes=2, input_shape=(8, 8, 3))
    (saved.save if suffix == ".keras" else saved.save_weights)(path)
    whole = path.read_bytes()
    damages = [b"", b"text" * 100, whole[:100], whole[: len(whole) // 2], whole[:-1]]
    if suffix == ".keras":
        middle = len(whole) // 2
        damages += [whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :], empty_zip(tmp_path)]
    for damaged in damages:
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=rf"mine\{suffix} (is damaged|does not fit)"):
            keras_archs.ResNet20(classes=2, input_shape=(8, 8, 3), weights=path)


def empty_zip(folder: Path) -> bytes:
    with zipfile.ZipFile(folder / "empty.zip", "w") as file:
        file.writestr("no.model", "")
    return (folder / "empty.zip").read_bytes()


def test_a_file_of_weights_without_layers_is_refused(tmp_path: Path) -> None:
    for number, content in enumerate(({"layers": 3}, {"other": 3})):
        path = tmp_path / f"{number}.weights.h5"
        with h5py.File(path, "w") as file:
            for name, value in content.items():
                file[name] = value
        with pytest.raises(CheckpointError, match=f"{number}.weights.h5 does not fit 'resnet20'"):
            keras_archs.ResNet20(weights=path)
