"""A published head answers as scikit-learn does, and images that were seen once are not computed again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

import keras_archs
from keras_archs.analysis.weightless import weightless
from keras_archs.images.decoding import load_image
from keras_archs.registry import list_models
from keras_archs.repository import artifact
from keras_archs.runtimes.openvino_runtime import OpenVinoRuntime
from keras_archs.runtimes.runtime import Runtime
from keras_archs.runtimes.tensorflow_runtime import TensorFlowRuntime
from keras_archs.training.data.dataset import Dataset
from keras_archs.training.data.labelled_images import LabelledImages
from keras_archs.training.heads import backbone
from keras_archs.training.heads.backbone import Backbone
from keras_archs.training.heads.feature_cache import FeatureCache
from keras_archs.training.heads.features import features_of
from keras_archs.training.heads.fit_head import TrainedHead, fit_head
from keras_archs.training.networks import NetworkChoice, build_network
from tests.training.heads.conftest import SMALL

Pictures = Callable[..., Dataset]

QUICK = {"mobilenet-0.25-128", "efficientnet-lite0", "resnet-20"}


@pytest.fixture(scope="module")
def data(pictures_of: Pictures) -> Dataset:
    return pictures_of()


@pytest.fixture(scope="module")
def reports() -> list[int]:
    """The numbers of images that the fit of `head` has reported."""
    return []


@pytest.fixture(scope="module")
def head(data: Dataset, reports: list[int]) -> TrainedHead:
    keras.utils.set_random_seed(0)
    return fit_head(data, SMALL, cache=False, on_progress=reports.append)


def published(head: TrainedHead, data: Dataset, repository: Path) -> Path:
    return keras_archs.export_model(
        head.model, repository, name="pictures", labels=data.classes, trained_on=data.source
    ).path


def answers(runtime: Runtime, version: Path, images: LabelledImages) -> NDArray[np.float32]:
    card = artifact.read_card(version)
    session = runtime.load(version, card)
    pixels = [load_image(images.root / path, card.preprocessing) for path in images.paths]
    return np.concatenate([session.infer(image[np.newaxis]) for image in pixels])


def test_the_published_head_answers_as_scikit_learn_on_each_runtime(
    head: TrainedHead, data: Dataset, tmp_path: Path
) -> None:
    version = published(head, data, tmp_path)
    for runtime in (OpenVinoRuntime(precision="f32"), TensorFlowRuntime()):
        received = answers(runtime, version, data.validation)
        np.testing.assert_allclose(received, head.validation_probabilities, atol=1e-5)
    assert artifact.read_card(version).weights.trained


@pytest.mark.slow  # with published weights
def test_a_head_upon_published_weights_answers_as_scikit_learn(pictures_of: Pictures, tmp_path: Path) -> None:
    data = pictures_of(30, 30)
    head = fit_head(data)
    version = published(head, data, tmp_path)
    for runtime in (OpenVinoRuntime(precision="f32"), TensorFlowRuntime()):
        received = answers(runtime, version, data.validation)
        np.testing.assert_allclose(received, head.validation_probabilities, atol=1e-5)
    assert (received.argmax(axis=1) == data.validation.classes).all()


def test_two_classes_have_a_probability_each(pictures_of: Pictures) -> None:
    data = pictures_of(6, 3, ("coffee", "digit"))
    head = fit_head(data, SMALL, cache=False)
    assert head.validation_probabilities.shape == (6, 2)
    pixels = [load_image(data.validation.root / path, head.preprocessing) for path in data.validation.paths]
    received = head.model.predict_on_batch(head.preprocessing.normalize(np.stack(pixels)))
    np.testing.assert_allclose(received, head.validation_probabilities, atol=1e-5)


def test_only_the_classifier_differs_from_the_first_weights(head: TrainedHead) -> None:
    keras.utils.set_random_seed(0)
    first, _ = build_network(SMALL, 4)
    differing = {
        variable.path.split("/")[0]
        for variable, before in zip(head.model.weights, first.weights, strict=True)
        if not np.array_equal(keras.ops.convert_to_numpy(variable), keras.ops.convert_to_numpy(before))
    }
    assert differing == {"predictions"}


def test_the_phases_are_reported(head: TrainedHead) -> None:
    assert set(head.seconds) == {"network", "images", "fit", "graph", "decode", "inference"}
    assert head.seconds["graph"] + head.seconds["fit"] <= sum(head.seconds[key] for key in ("images", "fit"))
    assert len(head.trials) > 1


def test_progress_ends_with_all_images(head: TrainedHead, data: Dataset, reports: list[int]) -> None:
    assert reports == sorted(reports)
    assert reports[-1] == len(data.train.paths) + len(data.validation.paths)


@pytest.fixture
def small() -> Backbone:
    keras.utils.set_random_seed(0)
    return Backbone(*build_network(SMALL, 3))


def cached(network: Backbone, folder: Path) -> FeatureCache:
    return FeatureCache(folder, network.digest, network.dimension)


def test_images_that_were_seen_once_are_not_computed_again(
    small: Backbone, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = features_of(data.train, small, cached(small, tmp_path))
    keras.utils.set_random_seed(0)
    again = Backbone(*build_network(SMALL, 7))  # another number of classes
    assert again.digest == small.digest
    monkeypatch.setattr(backbone, "_in_openvino", None)  # any use of the network would fail
    second = features_of(data.train, again, cached(again, tmp_path))
    assert (first.cached, second.cached) == (0, len(data.train.paths))
    np.testing.assert_array_equal(first.values, second.values)


def test_only_new_images_are_computed(small: Backbone, data: Dataset, tmp_path: Path) -> None:
    cache = cached(small, tmp_path)
    half = replace(data.train, paths=data.train.paths[::2], classes=data.train.classes[::2])
    features_of(half, small, cache)
    reports: list[int] = []
    features = features_of(data.train, small, cache, on_progress=reports.append)
    assert features.cached == len(half.paths)
    assert reports[0] == features.cached and reports[-1] == len(data.train.paths)
    np.testing.assert_array_equal(features.values, features_of(data.train, small).values)


def test_features_belong_to_weights_size_and_preprocessing(small: Backbone) -> None:
    keras.utils.set_random_seed(1)
    other_weights = Backbone(*build_network(SMALL, 3))
    keras.utils.set_random_seed(0)
    model, preprocessing = build_network(SMALL, 3)
    other_crop = Backbone(model, replace(preprocessing, crop_fraction=1.0))
    keras.utils.set_random_seed(0)
    other_size = Backbone(*build_network(NetworkChoice(SMALL.name, None, 64), 3))
    assert len({each.digest for each in (small, other_weights, other_crop, other_size)}) == 4


def test_images_that_cannot_be_read_are_reported_by_position_and_left_out(pictures_of: Pictures) -> None:
    data = pictures_of(8, 4)
    paths = [data.train.root / path for path in data.train.paths]
    paths[3].write_bytes(paths[3].read_bytes()[:200])
    paths[5].unlink()
    (data.validation.root / data.validation.paths[0]).write_text("no image")
    head = fit_head(data, SMALL, cache=False)
    reasons = head.train_features.unreadable
    assert list(reasons) == [3, 5]
    assert "damaged or incomplete" in reasons[3] and "No such file" in reasons[5]
    assert list(head.validation_features.unreadable) == [0]
    assert not head.train_features.values[[3, 5]].any()
    assert len(head.validation_probabilities) == len(data.validation.paths) - 1


def test_a_class_without_a_readable_image_is_named(pictures_of: Pictures) -> None:
    data = pictures_of(3, 2)
    for path in data.train.paths[3:6]:
        (data.train.root / path).write_text("no image")
    with pytest.raises(ValueError, match=r"1 of 4 classes have no training image that can be read: 'chelsea'"):
        fit_head(data, SMALL, cache=False)


def test_one_class_is_refused(pictures_of: Pictures) -> None:
    with pytest.raises(ValueError, match="needs at least 2 classes"):
        fit_head(pictures_of(2, 1, ("coffee",)), SMALL)


def test_a_network_without_a_dense_layer_at_its_end_is_refused() -> None:
    images = keras.Input((8, 8, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(images)
    with pytest.raises(ValueError, match="does not end in a Dense layer"):
        Backbone(keras.Model(images, pooled), keras_archs.Preprocessing((8, 8), mean=(0, 0, 0), std=(1, 1, 1)))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in list_models()]
)
def test_every_network_of_the_registry_has_features(name: str) -> None:
    with weightless():
        model, preprocessing = build_network(NetworkChoice(name), 3)
        network = Backbone(model, preprocessing)
    assert network.dimension == network.classifier.kernel.shape[0] > 1
    assert network.classifier.kernel.shape[1] == 3
