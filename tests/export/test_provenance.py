"""A version claims the source and checksum of its weights only while it has these weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_archs
from keras_archs.cards import published_weights
from keras_archs.cards.origin import origin_of
from keras_archs.export.provenance import provenance, registered_labels, registered_preprocessing
from keras_archs.images.labels import imagenet_labels
from keras_archs.repository import artifact
from keras_archs.repository.artifact_card import ArtifactCard, Weights
from tests.support.networks import FIXTURES, fresh_keras, photographs
from tests.support.weights_server import Serve, isolated, serve, weights_server

__all__ = ["fresh_keras", "isolated", "serve", "weights_server"]

FILE = FIXTURES / "weights" / "resnet20-12fca82f.th"
IMAGES = photographs(32, 32)


@pytest.fixture
def build(serve: Serve) -> Callable[..., keras.Model]:
    """Builds ResNet-20 with the published weights."""
    serve(published_weights.entry("resnet-20", "cifar10"), FILE)
    return lambda **arguments: keras_archs.ResNet20(weights="cifar10", **arguments)


def said(model: keras.Model, *, trained_on: str | None = None, allow_untrained: bool = False) -> Weights:
    return provenance(model, origin_of(model), trained_on=trained_on, allow_untrained=allow_untrained)


def train(model: keras.Model) -> None:
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(IMAGES, np.array([0, 1]), epochs=1, verbose=0)


def test_unchanged_weights_have_the_source_and_checksum_of_their_file(build: Callable[..., keras.Model]) -> None:
    weights = said(build())
    assert weights.trained
    assert weights.source.endswith("/resnet-20/akamaster/resnet20-12fca82f.th")
    assert weights.sha256 is not None and weights.sha256.startswith("12fca82f")
    assert said(build(prefix="a_", name="other", classifier_activation=None)) == replace(weights, source=weights.source)


def zero_a_filter(model: keras.Model) -> None:
    kernel = np.asarray(model.get_layer("stage1_block1_conv1").kernel) * [0, *[1] * 15]
    model.get_layer("stage1_block1_conv1").kernel.assign(kernel)


def replace_the_head(model: keras.Model) -> None:
    head = model.get_layer("predictions")
    head.kernel.assign(keras.random.normal(head.kernel.shape))


CHANGES: dict[str, Callable[[keras.Model], Any]] = {
    "fine-tuned": train,
    "pruned": zero_a_filter,
    "another head": replace_the_head,
    "moving statistics": lambda model: model(IMAGES, training=True),
    "quantized": lambda model: model.quantize("int8"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changed_weights_are_derived_and_have_no_checksum(
    change: Callable[[keras.Model], Any], build: Callable[..., keras.Model]
) -> None:
    model = build()
    original = said(model)
    change(model)
    weights = said(model)
    assert (weights.trained, weights.source, weights.sha256) == (True, f"derived from {original.source}", None)
    assert weights.licence == original.licence


def test_other_survival_probabilities_are_other_weights(build: Callable[..., keras.Model]) -> None:
    model = build(drop_path_rate=0.5, drop_path_per="batch")
    assert said(model).sha256 is not None
    keras_archs.set_survival_probabilities(model, 0.9)  # inference multiplies the branches by them
    assert said(model).source.startswith("derived from ")


def test_weights_that_are_put_back_are_the_original_again(build: Callable[..., keras.Model]) -> None:
    model = build()
    original, values = said(model), model.get_weights()
    zero_a_filter(model)
    model.set_weights(values)
    assert said(model) == original


def test_weights_in_half_precision_are_derived(build: Callable[..., keras.Model]) -> None:
    keras.config.set_dtype_policy("float16")
    weights = said(build())
    assert weights.source.startswith("derived from ")
    assert weights.sha256 is None


def test_a_classifier_with_initial_values_is_not_exported_as_trained(build: Callable[..., keras.Model]) -> None:
    model = build(classes=3)
    with pytest.raises(ValueError, match=r"the layers predictions are untrained.*trained_on=.*allow_untrained=True"):
        said(model)
    untrained = said(model, allow_untrained=True)
    assert not untrained.trained
    assert untrained.source.startswith("derived from http")
    assert untrained.source.endswith("; initial values in predictions")
    claimed = said(model, trained_on="flowers")
    assert (claimed.trained, claimed.source) == (False, "flowers; initial values in predictions")


def test_layers_in_front_of_the_network_are_trained_if_the_user_says_so(build: Callable[..., keras.Model]) -> None:
    colours = keras.layers.Conv2D(3, 1, name="colours")(keras.Input((32, 32, 3)))
    model = build(input_tensor=colours, prefix="body_")
    with pytest.raises(ValueError, match="the layers colours are untrained"):
        said(model)
    claimed = said(model, trained_on="flowers")
    assert (claimed.trained, claimed.source) == (True, "flowers")


def test_a_new_classifier_that_was_trained_is_derived(build: Callable[..., keras.Model]) -> None:
    model = build(classes=3)
    for layer in model.layers[:-1]:
        layer.trainable = False
    train(model)
    weights = said(model)
    assert (weights.trained, weights.sha256) == (True, None)
    assert weights.source.startswith("derived from http")
    assert said(model, trained_on="flowers").source == "flowers"


def test_a_network_for_grey_images_is_derived_and_says_so(build: Callable[..., keras.Model]) -> None:
    model = build(input_shape=(32, 32, 1))
    assert said(model).source.endswith("; stem_conv adapted to 1 channel")
    preprocessing = registered_preprocessing(model, origin_of(model))
    published = published_weights.entry("resnet-20", "cifar10").preprocessing
    assert preprocessing.mean == pytest.approx((np.mean(published.mean),))
    assert preprocessing.std == pytest.approx((np.mean(published.std),))


def test_four_channels_have_no_preprocessing(build: Callable[..., keras.Model], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the model's input shape is \(None, 32, 32, 4\), but the preprocessing"):
        keras_archs.export_model(build(input_shape=(32, 32, 4)), tmp_path, name="four")


def test_weights_of_a_file_of_ones_own_that_were_changed_are_derived(tmp_path: Path) -> None:
    keras_archs.ResNet20().save_weights(tmp_path / "mine.weights.h5")
    model = keras_archs.ResNet20(weights=tmp_path / "mine.weights.h5")
    assert said(model).source == "file mine.weights.h5"
    assert said(model).sha256 is not None
    zero_a_filter(model)
    assert said(model) == Weights(trained=True, source="derived from file mine.weights.h5")


def test_a_network_without_loaded_weights_is_untrained_or_trained_by_its_user() -> None:
    model = keras_archs.ResNet20()
    with pytest.raises(ValueError, match=r"unknown: give trained_on=.*allow_untrained=True"):
        said(model)
    assert said(model, allow_untrained=True) == Weights(trained=False, source="none")
    assert said(model, trained_on="flowers") == Weights(trained=True, source="flowers")


def test_labels_are_those_of_the_data_set_of_the_weights(build: Callable[..., keras.Model]) -> None:
    assert [label.name for label in registered_labels(10, origin_of(build()))][3:6] == ["cat", "deer", "dog"]
    assert [label.name for label in registered_labels(3, origin_of(build(classes=3)))] == [
        "class 0", "class 1", "class 2"
    ]  # fmt: skip
    lite = keras_archs.EfficientNetLite0(weights="imagenet")
    assert registered_labels(1000, origin_of(lite)) == imagenet_labels()


def test_the_card_of_a_version_tells_the_weights_and_what_belongs_to_them(serve: Serve, tmp_path: Path) -> None:
    entry = published_weights.entry("resnet-20", "cifar10")
    preprocessing = replace(entry.preprocessing, mean=(1.0, 2.0, 3.0))
    serve(replace(entry, licence="MIT", preprocessing=preprocessing), FILE)
    exported = keras_archs.export_model(keras_archs.ResNet20(weights="cifar10"), tmp_path, name="small")
    card = artifact.read_card(exported.path)
    assert card.preprocessing == preprocessing
    assert card.weights.licence == "MIT"
    assert card.weights.sha256 is not None
    assert card.labels[3].name == "cat"
    older = card.to_json()
    del older["weights"]["licence"]
    assert ArtifactCard.from_json(older).weights == replace(card.weights, licence=None)
