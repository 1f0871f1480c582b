"""Training drops blocks at random, and inference multiplies them by their survival probability."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from numpy.typing import NDArray

import keras_archs
from keras_archs.layers import StochasticResidual
from tests.support.networks import photographs

Floats = NDArray[np.float32]
Calibrate = Callable[[keras.Model], keras.Model]

MODES = ["image", "batch"]


class Counter(layers.Layer):
    """Counts its computations in a variable; a Python counter would count traces."""

    def build(self, _: Any) -> None:
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        self.count.assign_add(1)
        return inputs


def one_block(rate: float, *, seed: int = 1) -> tuple[keras.Model, keras.Model]:
    """Return a network of one droppable block, and its branch."""
    inner = keras.Input((3,))
    x = Counter(name="counter")(inner)
    x = layers.Dense(3, kernel_initializer="identity", use_bias=False, name="dense")(x)
    branch = keras.Model(inner, layers.BatchNormalization(momentum=0.5, name="bn")(x))
    inputs = keras.Input((3,))
    outputs = StochasticResidual(branch, rate, seed=seed, name="block_drop")([inputs, inputs])
    return keras.Model(inputs, outputs), branch


@pytest.fixture
def numbers() -> Floats:
    return np.random.default_rng(0).normal(2, 3, (64, 3)).astype(np.float32)


def small(**options: Any) -> keras.Model:
    return keras_archs.StochasticDepthResNet50(input_shape=(32, 32, 3), classes=4, **options)


def test_at_inference_a_branch_is_multiplied_by_its_survival_probability(numbers: Floats) -> None:
    model, branch = one_block(rate=0.3)
    expected = numbers + 0.7 * np.asarray(branch(numbers))
    np.testing.assert_allclose(model(numbers), expected, rtol=1e-5)
    np.testing.assert_allclose(model.predict(numbers, verbose=0), expected, rtol=1e-5)


def test_in_training_a_branch_is_added_whole_or_not_at_all(numbers: Floats) -> None:
    model, branch = one_block(rate=0.5)
    whole = numbers + np.asarray(branch(numbers, training=True))
    seen = set()
    for _ in range(40):
        answer = np.asarray(model(numbers, training=True))
        dropped = np.array_equal(answer, numbers)
        assert dropped or np.allclose(answer, whole, rtol=1e-4)
        seen.add(dropped)
    assert seen == {True, False}


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_dropped_branch_is_not_computed(numbers: Floats, jit_compile: bool) -> None:
    """With and without XLA: no operations, no new moving statistics, no gradients."""
    model, branch = one_block(rate=0.75)
    counter, bn, dense = (branch.get_layer(name) for name in ("counter", "bn", "dense"))
    model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=jit_compile)

    survived = 0
    before = [np.asarray(dense.kernel), np.asarray(bn.moving_mean)]
    for step in range(24):
        model.train_on_batch(numbers, np.zeros_like(numbers))
        now = [np.asarray(dense.kernel), np.asarray(bn.moving_mean)]
        computed = int(counter.count) - survived
        assert computed in (0, 1)
        for old, new in zip(before, now, strict=True):
            assert np.array_equal(old, new) == (computed == 0), step
        survived, before = survived + computed, now
    assert 0 < survived < 16  # 6 of 24 are expected


@pytest.mark.parametrize("mode", MODES)
def test_training_equals_inference_on_average(mode: str) -> None:
    """Per mini-batch inference is scaled down, per image training is scaled up."""
    inputs = keras.Input((1, 1, 2))
    branch = keras.Model(inputs, layers.Rescaling(3.0)(inputs))
    if mode == "batch":
        outputs = StochasticResidual(branch, 0.4, seed=1)([inputs, inputs])
    else:
        outputs = inputs + layers.Dropout(0.4, noise_shape=(None, 1, 1, 1), seed=1)(branch(inputs))
    model = keras.Model(inputs, outputs)
    images = np.ones((8, 1, 1, 2), np.float32)
    draws = np.stack([np.asarray(model(images, training=True)) for _ in range(600)])
    np.testing.assert_allclose(draws.mean(axis=(0, 1)), np.asarray(model(images))[0], rtol=0.1)


@pytest.mark.parametrize("mode", MODES)
def test_survival_falls_linearly_down_to_the_last_block(mode: str) -> None:
    survival = keras_archs.survival_probabilities(small(drop_path_per=mode))
    assert list(survival)[:4] == ["stage1_block1", "stage1_block2", "stage1_block3", "stage2_block1"]
    values = list(survival.values())
    assert (len(values), values[0], values[-1]) == (16, 1 - 0.5 / 16, 0.5)
    steps = [high - low for high, low in pairwise(values)]
    np.testing.assert_allclose(steps, 0.5 / 16)


def test_uniform_survival() -> None:
    survival = keras_archs.survival_probabilities(small(drop_path_rate=0.2, drop_path_decay="uniform"))
    assert set(survival.values()) == {0.8}


@pytest.mark.parametrize("mode", MODES)
def test_survival_probabilities_can_be_changed_between_two_calls_of_fit(mode: str) -> None:
    """With a survival probability of 1 each step has the same loss; lower ones count from the next call on."""
    model = small(include_top=False, pooling="avg", drop_path_per=mode)
    for layer in model._flatten_layers():
        layer.trainable = False  # so that only the draws differ
    images = photographs(32, 32)
    model.compile("sgd", "mse")
    targets = np.zeros((2, 2048), np.float32)

    def losses() -> set[float]:
        return {float(model.train_on_batch(images, targets)) for _ in range(6)}

    keras_archs.set_survival_probabilities(model, 1.0)
    assert len(losses()) == 1
    keras_archs.set_survival_probabilities(model, {"stage4_block3": 0.5, "stage4_block2": 0.5})
    assert keras_archs.survival_probabilities(model)["stage4_block3"] == 0.5
    assert len(losses()) > 1


def test_both_modes_and_the_plain_network_have_the_same_weights(calibrate: Calibrate) -> None:
    """Per image, inference is not scaled: it equals the plain network's."""
    plain = calibrate(keras_archs.ResNet50(input_shape=(32, 32, 3), classes=4, classifier_activation=None))
    per_image, per_batch = (small(drop_path_per=mode, classifier_activation=None) for mode in MODES)
    for model in (per_image, per_batch):
        shared = {variable.path: variable for variable in plain.weights}
        assert {variable.path for variable in model.weights} == set(shared)
        for variable in model.weights:
            variable.assign(shared[variable.path])
    images = photographs(32, 32)
    np.testing.assert_allclose(per_image(images), plain(images), rtol=1e-4, atol=1e-5)
    assert np.abs(np.asarray(per_batch(images)) - np.asarray(plain(images))).max() > 1e-2
    keras_archs.set_survival_probabilities(per_batch, 1.0)
    np.testing.assert_allclose(per_batch(images), plain(images), rtol=1e-3, atol=1e-4)


def test_a_saved_network_keeps_its_probabilities_and_outputs(calibrate: Calibrate, tmp_path: Path) -> None:
    model = calibrate(small())
    keras_archs.set_survival_probabilities(model, {"stage2_block2": 0.9})
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert keras_archs.survival_probabilities(loaded) == keras_archs.survival_probabilities(model)
    np.testing.assert_array_equal(loaded(photographs(32, 32)), model(photographs(32, 32)))


def test_invalid_probabilities_are_refused_and_nothing_changes() -> None:
    model = small()
    before = keras_archs.survival_probabilities(model)
    with pytest.raises(ValueError, match=r"no droppable blocks \['stage9_block1'\]; it has \['stage1_block1', "):
        keras_archs.set_survival_probabilities(model, {"stage1_block1": 0.1, "stage9_block1": 0.5})
    with pytest.raises(ValueError, match=r"more than 0 and at most 1; got {'stage1_block2': 0}"):
        keras_archs.set_survival_probabilities(model, {"stage1_block1": 0.1, "stage1_block2": 0})
    with pytest.raises(ValueError, match="has no stochastic depth; build it with a drop_path_rate"):
        keras_archs.set_survival_probabilities(keras_archs.ResNet18(input_shape=(32, 32, 3)), 0.5)
    assert keras_archs.survival_probabilities(model) == before


@pytest.mark.parametrize(("option", "value"), [("drop_path_per", "pixel"), ("drop_path_decay", "cosine")])
def test_unknown_modes_are_refused_with_the_allowed_ones(option: str, value: str) -> None:
    with pytest.raises(ValueError, match=rf"{option}='{value}'.*\"(linear|image)\""):
        keras_archs.create_model("stochastic-depth-resnet-50", **{option: value})


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
@pytest.mark.parametrize(
    ("name", "trained_with"),
    [
        ("resnet-18", {"drop_path_rate": 0.2}),
        ("wide-resnet-16-4", {"drop_path_rate": 0.2, "dropout_rate": 0.3}),
    ],
)
def test_weights_trained_with_stochastic_depth_load_into_the_network_without(
    name: str, trained_with: dict[str, float], suffix: str, calibrate: Calibrate, tmp_path: Path
) -> None:
    """Beside a projection of the same shape, dropout must not change the order of the kernels in the file."""
    shape: dict[str, Any] = {"input_shape": (32, 32, 3), "classifier_activation": None}
    trained = calibrate(keras_archs.create_model(name, **shape, **trained_with))
    path = tmp_path / f"trained{suffix}"
    (trained.save if suffix == ".keras" else trained.save_weights)(path)
    plain = keras_archs.create_model(name, **shape, weights=path)
    images = photographs(32, 32)
    np.testing.assert_allclose(plain(images), trained(images), rtol=1e-4, atol=1e-5)


def test_a_keras_file_of_one_mode_loads_into_the_other_by_names(tmp_path: Path) -> None:
    batch = small(drop_path_per="batch", include_top=False, pooling="avg")
    batch.save(tmp_path / "batch.keras")
    batch.save_weights(tmp_path / "batch.weights.h5")
    image = small(drop_path_per="image", include_top=False, pooling="avg", weights=tmp_path / "batch.keras")
    theirs = {variable.path: variable for variable in batch.weights}
    for variable in image.weights:
        np.testing.assert_array_equal(variable, theirs[variable.path])
    with pytest.raises(ValueError, match=r"batch\.weights\.h5 does not fit"):
        small(drop_path_per="image", include_top=False, pooling="avg", weights=tmp_path / "batch.weights.h5")
