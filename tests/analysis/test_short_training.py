"""Score of a network: its accuracy after a short training on real images."""

import sys

import keras
import numpy as np
import pytest
from keras import layers
from skimage import data

import keras_archs
from tests.support.tiny import tiny


def test_a_network_that_can_learn_scores_above_chance() -> None:
    """Patches of two photographs as two classes; chance is 0.5."""
    random = np.random.default_rng(0)
    patches, labels = [], []
    for label, photograph in enumerate((data.coffee(), data.chelsea())):
        for _ in range(48):
            row, column = (random.integers(0, side - 24) for side in photograph.shape[:2])
            patch = photograph[row : row + 24, column : column + 24].astype(np.float32) / 127 - 1
            patches.append(np.repeat(patch, 3, axis=2)[..., :8])
            labels.append(label)
    order = random.permutation(len(labels))
    images, classes = np.stack(patches)[order], np.array(labels)[order]
    training = keras_archs.ShortTraining(images[:64], classes[:64], images[64:], classes[64:], epochs=30, batch=8)
    score = training(tiny(depth=0.3, width=1, resolution=1))
    assert 0.7 < score <= 1


def test_digits_come_without_a_network_connection() -> None:
    training = keras_archs.ShortTraining.on_digits(epochs=3, seed=7)
    assert (training.images.shape, training.validation_images.shape) == ((1297, 8, 8, 3), (500, 8, 8, 3))
    assert (training.images.min(), training.images.max()) == (-1, 1)
    assert set(training.labels) == set(training.validation_labels) == set(range(10))
    assert (training.epochs, training.seed) == (3, 7)


def test_moving_statistics_follow_a_short_training() -> None:
    """With MobileNet's momentum of 0.9997 they would hardly change in so few steps."""
    keras.utils.set_random_seed(0)
    images = keras.Input((8, 8, 3))
    x = layers.Conv2D(16, 3, activation="relu")(images)
    normalisation = layers.BatchNormalization(momentum=0.9997)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(32, 3, activation="relu")(normalisation(100 * x + 300)))
    inner = keras.Model(images, layers.Dense(10, activation="softmax")(x))
    for model in (inner, keras.Sequential([images, inner])):
        assert keras_archs.ShortTraining.on_digits(epochs=2)(model) > 0.5
        assert normalisation.momentum == 0.9997


def test_without_scikit_learn_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'keras-archs\[analysis\]'"):
        keras_archs.search_coefficients(tiny)
