"""Weights for other numbers of classes and channels, without the classifier, and with stochastic depth."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import keras_archs
from keras_archs.weights.fingerprint import fingerprint_of
from keras_archs.weights.loading import Loaded, Source, for_channels, load_tensors
from keras_archs.weights.maps import NAME_MAPS
from tests.support.networks import calibrated, photographs
from tests.support.source_files import Tensors, tensors_of

NAMES = "torchvision-resnet"
IMAGES = photographs(32, 32)


@pytest.fixture(scope="module")
def published() -> keras.Model:
    """A network whose weights, under the names of a source, are loaded into others."""
    return calibrated(keras_archs.ResNet20(classifier_activation=None))


@pytest.fixture(scope="module")
def tensors(published: keras.Model) -> Tensors:
    return tensors_of(published, NAMES)


def load(model: keras.Model, tensors: Tensors, **source: Any) -> Loaded:
    prefix = source.pop("prefix", "")
    return load_tensors(model, tensors, Source(NAME_MAPS[NAMES], classes=10, **source), prefix=prefix)


def logits(model: keras.Model, images: Any = IMAGES) -> Any:
    return np.asarray(model(images))


def resnet(**arguments: Any) -> keras.Model:
    return keras_archs.ResNet20(**{"classifier_activation": None, **arguments})


def test_the_whole_network_has_no_untrained_part(published: keras.Model, tensors: Tensors) -> None:
    model = resnet(prefix="other_")
    loaded = load(model, tensors, prefix="other_")
    np.testing.assert_allclose(logits(model), logits(published), atol=1e-5)
    assert (dict(loaded.untrained), loaded.adapted) == ({}, ())
    assert loaded.fingerprint == fingerprint_of(published) == fingerprint_of(model, "other_")


def test_another_number_of_classes_leaves_the_classifier_as_its_initializer_made_it(
    published: keras.Model, tensors: Tensors
) -> None:
    keras.utils.set_random_seed(5)
    untouched = resnet(classes=7)
    keras.utils.set_random_seed(5)
    model = resnet(classes=7)
    loaded = load(model, tensors)
    head = model.get_layer("predictions")
    for variable, initial in zip(head.weights, untouched.get_layer("predictions").weights, strict=True):
        np.testing.assert_array_equal(variable, initial)
    np.testing.assert_allclose(
        logits(keras.Model(model.input, head.input)),
        logits(keras.Model(published.input, published.get_layer("predictions").input)),
        atol=1e-5,
    )
    assert dict(loaded.untrained) == {"predictions": fingerprint_of(head)}


def test_without_the_classifier_and_upon_layers_of_ones_own(published: keras.Model, tensors: Tensors) -> None:
    images = keras.Input((32, 32, 3))
    doubled = keras.layers.Rescaling(2.0)(images)
    model = resnet(include_top=False, pooling="avg", input_tensor=doubled, prefix="body_")
    loaded = load(model, tensors, prefix="body_")
    features = keras.Model(published.input, published.get_layer("predictions").input)
    np.testing.assert_allclose(logits(model), logits(features, 2 * IMAGES), atol=1e-5)
    assert dict(loaded.untrained) == {}


def test_layers_of_ones_own_in_front_of_a_prefixed_network_are_untrained(tensors: Tensors) -> None:
    colours = keras.layers.Conv2D(3, 1, name="colours")
    model = resnet(input_tensor=colours(keras.Input((32, 32, 4))), prefix="body_")
    loaded = load(model, tensors, prefix="body_")
    assert dict(loaded.untrained) == {"colours": fingerprint_of(colours)}
    assert loaded.adapted == ()


def test_a_grey_image_gives_what_three_equal_channels_give(published: keras.Model, tensors: Tensors) -> None:
    model = resnet(input_shape=(32, 32, 1))
    loaded = load(model, tensors)
    grey = IMAGES[..., :1]
    np.testing.assert_allclose(logits(model, grey), logits(published, np.repeat(grey, 3, -1)), atol=1e-5)
    assert (dict(loaded.untrained), loaded.adapted) == ({}, ("stem_conv",))


def test_four_channels_repeat_the_colours_and_keep_the_size_of_their_sum(tensors: Tensors) -> None:
    model = resnet(input_shape=(32, 32, 4))
    assert load(model, tensors).adapted == ("stem_conv",)
    red, green, blue = np.moveaxis(tensors["conv1.weight"].transpose(2, 3, 1, 0), 2, 0)
    kernel = np.asarray(model.get_layer("stem_conv").kernel)
    np.testing.assert_allclose(kernel, 0.75 * np.stack([red, green, blue, red], axis=2), rtol=1e-6)
    for channels in (2, 7):
        assert for_channels(np.ones((1, 1, 3, 1)), channels).sum() == pytest.approx(3)


@pytest.mark.parametrize("channels", [1, 3])
def test_weights_for_bgr_take_rgb(published: keras.Model, tensors: Tensors, channels: int) -> None:
    model = resnet(input_shape=(32, 32, channels))
    load(model, tensors, channel_order="bgr")
    images = np.repeat(IMAGES[..., :1], 3, -1) if channels == 1 else IMAGES
    np.testing.assert_allclose(logits(model, images[..., :channels]), logits(published, images[..., ::-1]), atol=1e-5)


DROPPED: dict[str, Any] = {"drop_path_rate": 0.5, "drop_path_per": "batch"}


def test_stochastic_depth_per_batch_answers_as_the_network_without(published: keras.Model, tensors: Tensors) -> None:
    model = resnet(**DROPPED)
    load(model, tensors)
    np.testing.assert_allclose(logits(model), logits(published), atol=1e-4)
    assert [round(p, 3) for p in keras_archs.survival_probabilities(model).values()][-1] == 0.5


def test_stochastic_depth_per_image_takes_the_weights_unchanged(published: keras.Model, tensors: Tensors) -> None:
    model = resnet(drop_path_rate=0.5)
    assert load(model, tensors).fingerprint == fingerprint_of(published)


def test_stochastic_depth_per_batch_where_branches_end_in_a_convolution() -> None:
    build: Callable[..., keras.Model] = keras_archs.WideResNet
    plain = calibrated(build(depth=10, widen_factor=1, classifier_activation=None))
    model = build(depth=10, widen_factor=1, classifier_activation=None, **DROPPED)
    source = Source(NAME_MAPS["pytorchcv-wrn"], classes=10)
    load_tensors(model, tensors_of(plain, "pytorchcv-wrn"), source)
    np.testing.assert_allclose(logits(model), logits(plain), atol=1e-4)


def test_stochastic_depth_per_batch_with_squeeze_and_excitation_is_refused() -> None:
    source = Source(NAME_MAPS["timm-senet"], classes=10)
    state = tensors_of(resnet(se_ratio=0.25), "timm-senet")
    load_tensors(resnet(se_ratio=0.25), state, source)
    with pytest.raises(ValueError, match=r'end in squeeze-and-excitation.*take drop_path_per="image"'):
        load_tensors(resnet(se_ratio=0.25, **DROPPED), state, source)
