"""Keras' layers change images alike on any backend, at any time, in any thread, and targets as they change images."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from keras_archs.images.preprocessing import Preprocessing
from keras_archs.training.data import keras_layers
from keras_archs.training.data.augmentation import Augmentation
from keras_archs.training.data.changes import Changes

SIDE = 24
RGB = Preprocessing(size=(SIDE, SIDE), mean=(120.0, 110.0, 100.0), std=(60.0,) * 3, crop_fraction=1.0)
GREY = Preprocessing(size=(SIDE, SIDE), mean=(30.0,), std=(80.0,), crop_fraction=1.0)

Floats = NDArray[np.float32]

# Mean of `photograph` after each operation with seed 5 on the TensorFlow backend.
MEANS_OF_TENSORFLOW = [
    128.169113,
    124.983673,
    131.95549,
    134.705643,
    125.916687,
    139.9888,
    128.19368,
    128.762711,
    126.224541,
    128.617325,
    128.222717,
]


@pytest.fixture(scope="module")
def operations() -> list[keras_layers.Change]:
    return keras_layers.rand_augment_operations(RGB, 0.5)


@pytest.fixture(scope="module")
def mix_up() -> keras_layers.Mix:
    return keras_layers.mixers(RGB, 8, 4, 0.4, 0)[0]


@pytest.fixture(scope="module")
def cut_mix() -> keras_layers.Mix:
    return keras_layers.mixers(RGB, 8, 4, 0, 1.0)[0]


def photograph(channels: int = 3) -> Floats:
    y, x = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1)
    planes = [40 + 170 * x, 30 + 200 * y, 128 + 60 * np.sin(9 * x) * np.cos(7 * y)]
    return np.stack(planes[:channels], axis=-1).astype(np.float32)


def classes() -> tuple[Floats, Floats]:
    """Return images of the constant value 100 k for class k, two of each class, and their targets."""
    targets = np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 0, 1, 2, 3]]
    values = targets @ np.array([0, 100, 200, 300], np.float32)
    return np.broadcast_to(values[:, None, None, None], (8, SIDE, SIDE, 3)).astype(np.float32), targets


def test_every_operation_of_rand_augment_stays_in_range_and_follows_its_seed(
    operations: list[keras_layers.Change],
) -> None:
    image = photograph()
    original = image.copy()
    assert len(operations) == 11
    changed = 0
    for operation in operations:
        results = [operation(image, seed) for seed in range(8)]
        for seed, result in enumerate(results):
            assert result.shape == image.shape
            assert result.dtype == np.float32
            assert -1e-3 <= result.min() <= result.max() <= 255 + 1e-3
            assert result.std() > 5  # something is still to be seen
            np.testing.assert_array_equal(operation(image, seed), result)
        changed += any((result != image).any() for result in results)
    assert changed == len(operations)
    np.testing.assert_array_equal(image, original)


def test_strength_0_changes_nothing_but_the_automatic_contrast() -> None:
    image = photograph().round()
    means = [
        float(np.abs(operation(image, 1) - image).mean())
        for operation in keras_layers.rand_augment_operations(RGB, 0.0)
    ]
    assert sum(mean > 0.01 for mean in means) == 1


def test_an_operation_acts_in_both_directions(operations: list[keras_layers.Change]) -> None:
    brightness, contrast = operations[5], operations[6]
    image = photograph()
    means = [float(brightness(image, seed).mean() - image.mean()) for seed in range(40)]
    assert min(means) < -20 < 20 < max(means)
    deviations = [float(contrast(image, seed).std() / image.std()) for seed in range(40)]
    assert min(deviations) < 0.8
    assert max(deviations) > 1.1


def test_threads_do_not_disturb_each_other(operations: list[keras_layers.Change]) -> None:
    image = photograph()
    tasks = [partial(operation, image, seed) for operation in operations for seed in range(4)]
    expected = [task() for task in tasks]
    with ThreadPoolExecutor(8) as executor:
        for found, alone in zip(executor.map(lambda task: task(), tasks), expected, strict=True):
            np.testing.assert_array_equal(found, alone)


def test_greyscale_images_get_the_operations_that_need_no_colour() -> None:
    image = photograph(1)
    grey = keras_layers.rand_augment_operations(GREY, 1.0)
    assert len(grey) == 10
    assert all(operation(image, 3).shape == (SIDE, SIDE, 1) for operation in grey)
    erased = keras_layers.eraser(GREY)(image, 0)
    assert (erased[erased != image] == 30).all()


def test_an_erased_box_has_the_mean_colour() -> None:
    image, erase = photograph(), keras_layers.eraser(RGB)
    shares = []
    for seed in range(30):
        erased = erase(image, seed)
        is_erased = (erased != image).any(axis=-1)
        np.testing.assert_array_equal(erased[is_erased], np.broadcast_to(RGB.mean, (is_erased.sum(), 3)))
        rows, columns = np.flatnonzero(is_erased.any(axis=1)), np.flatnonzero(is_erased.any(axis=0))
        assert is_erased[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        shares.append(float(is_erased.mean()))
    assert 0.01 < min(shares) < max(shares) < 0.4


def test_images_are_erased_with_the_probability_of_the_augmentation(tmp_path: Path) -> None:
    path = tmp_path / "white.png"
    Image.new("RGB", (SIDE, SIDE), "white").save(path)
    changes = Changes(RGB, Augmentation("centre", flip=False, erasing=0.25), images=1, batch=1, classes=1)
    rng = np.random.default_rng(0)
    share = np.mean([(changes.load(path, rng) != 255).any() for _ in range(200)])
    assert 0.15 < share < 0.35


def test_mix_up_mixes_targets_as_it_mixes_images(mix_up: keras_layers.Mix) -> None:
    images, targets = classes()
    for seed in range(10):
        mixed, mixed_targets = mix_up(images, targets, seed)
        np.testing.assert_allclose(mixed_targets.sum(axis=1), 1, rtol=1e-5)
        values = mixed_targets @ np.array([0, 100, 200, 300], np.float32)
        np.testing.assert_allclose(mixed, np.broadcast_to(values[:, None, None, None], mixed.shape), atol=1e-2)
    again, again_targets = mix_up(images, targets, 9)
    np.testing.assert_array_equal(again, mixed)
    np.testing.assert_array_equal(again_targets, mixed_targets)


def test_the_share_of_a_class_in_the_targets_of_cut_mix_is_that_of_its_pixels(cut_mix: keras_layers.Mix) -> None:
    images, targets = classes()
    boxes = 0
    for seed in range(10):
        mixed, mixed_targets = cut_mix(images, targets, seed)
        for image, target in zip(mixed, mixed_targets, strict=True):
            shares = [(image[..., 0] == 100 * number).mean() for number in range(4)]
            np.testing.assert_allclose(shares, target, atol=2 / SIDE)  # a box may begin within a pixel
            boxes += max(shares) < 1
    assert boxes > 20


def test_with_both_ways_of_mixing_a_batch_gets_one_of_them() -> None:
    changes = Changes(RGB, Augmentation(mixup=0.4, cutmix=1.0), images=8, batch=8, classes=4)
    images, targets = classes()
    kinds = set()
    for seed in range(20):
        mixed, _ = changes.mix(images, targets, np.random.default_rng(seed))
        kinds.add(bool(np.isin(mixed, [0, 100, 200, 300]).all()))
    assert kinds == {True, False}


def test_mixed_precision_does_not_reach_the_images() -> None:
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mix = keras_layers.mixers(RGB, 8, 4, 0, 1.0)[0]
        images, targets = classes()
        mixed, mixed_targets = mix(images + 0.125, targets, 0)
    finally:
        keras.config.set_dtype_policy(policy)
    assert mixed.dtype == mixed_targets.dtype == np.float32
    assert np.isin(mixed, [0.125, 100.125, 200.125, 300.125]).all()


def test_the_same_seed_gives_the_same_change_on_every_backend(operations: list[keras_layers.Change]) -> None:
    image = photograph()
    means = [float(operation(image, 5).mean()) for operation in operations]
    np.testing.assert_allclose(means, MEANS_OF_TENSORFLOW, rtol=1e-4)
