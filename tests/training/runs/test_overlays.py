"""Overlays show the class activation maps of a published version, whatever its channels."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

import keras_archs
from keras_archs.images.overlay import overlay
from keras_archs.images.preprocessing import Preprocessing
from keras_archs.repository.artifact import read_card
from keras_archs.runtimes.local import load_version
from keras_archs.runtimes.openvino_runtime import OpenVinoRuntime
from keras_archs.training.runs.overlays import load_overlay
from tests.support.shades import CARD, TABLE, Shades


def test_a_version_of_a_greyscale_network_draws_the_maps_of_the_exported_model(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 16, 1))
    features = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(inputs)
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(pooled))
    preprocessing = Preprocessing(size=(16, 16), mean=(33.0,), std=(70.0,))
    labels = ["zero", "one", "two"]
    version = keras_archs.export_model(
        model, tmp_path, name="grey", preprocessing=preprocessing, labels=labels, trained_on="nothing"
    ).path
    card = read_card(version)
    draw = load_overlay(load_version(OpenVinoRuntime(), version, card), version, card)
    assert draw is not None
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 1), np.uint8)
    for index in range(3):
        maps, _ = keras_archs.class_activation_map(model, preprocessing.normalize(pixels[np.newaxis]), [index])
        expected = np.asarray(overlay(np.repeat(pixels, 3, axis=2), maps[0]))
        drawn = draw(pixels, index)
        assert drawn.dtype == np.uint8
        np.testing.assert_allclose(drawn.astype(int), expected, atol=2)


def test_a_network_without_class_activation_maps_has_no_overlays(tmp_path: Path) -> None:
    assert not CARD.explains
    assert load_overlay(Shades(TABLE), tmp_path, CARD) is None
