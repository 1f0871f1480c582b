"""A memory-efficient DenseNet keeps fewer activations for the backward pass; all its numbers are the same."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_archs
from keras_archs.analysis.weightless import weightless
from tests.support.dense_block import dense
from tests.support.networks import photographs

Twins = tuple[keras.Model, keras.Model]

on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="about TensorFlow's graphs")


@pytest.fixture
def blocks() -> Twins:
    keras.utils.set_random_seed(0)
    plain, efficient = dense(recompute=False), dense(recompute=True)
    efficient.set_weights(plain.get_weights())
    return plain, efficient


def step(model: keras.Model) -> list[tf.Tensor]:
    """Loss and gradients of two photographs."""
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(tf.cast(model(photographs(32, 32), training=True), tf.float32) - 1))
    return [loss, *tape.gradient(loss, [variable.value for variable in model.trainable_variables])]


@on_tensorflow
@pytest.mark.parametrize("compile_with", [lambda f: f, tf.function], ids=["eager", "graph"])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 3e-2)])
def test_a_step_has_the_same_gradients_and_updates_the_moving_statistics_once(
    dtype: str, tolerance: float, compile_with: Callable[[Any], Any]
) -> None:
    """An ordinary second computation would update the moving statistics twice."""
    keras.config.set_dtype_policy(dtype)
    plain, efficient = dense(recompute=False), dense(recompute=True)
    efficient.set_weights(plain.get_weights())
    before = plain.get_weights()
    ours, theirs = (compile_with(step)(model) for model in (efficient, plain))
    largest = max(float(tf.reduce_max(tf.abs(their))) for their in theirs)
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our, their, rtol=tolerance, atol=tolerance * largest)
    after = zip(plain.weights, before, plain.get_weights(), efficient.get_weights(), strict=True)
    for variable, old, their, our in after:
        np.testing.assert_allclose(our, their, rtol=tolerance, atol=tolerance)
        assert np.array_equal(their, old) != variable.name.startswith("moving")


def test_fit_learns_the_same(blocks: Twins) -> None:
    losses = []
    for model in blocks:
        model.compile(keras.optimizers.SGD(0.01), "mse")
        losses.append(model.fit(photographs(32, 32), np.ones((2, 2)), epochs=3, verbose=0).history["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    assert losses[0][-1] < losses[0][0]


@pytest.fixture
def densenets() -> Twins:
    options: dict[str, Any] = {"input_shape": (32, 32, 3), "classifier_activation": None, "dropout_rate": 0.2}
    plain, efficient = (keras_archs.DenseNet40_12(memory_efficient=form, **options) for form in (False, True))
    efficient.set_weights(plain.get_weights())
    return plain, efficient


def test_variables_outputs_and_costs_equal_the_plain_densenets(densenets: Twins) -> None:
    plain, efficient = densenets
    assert [variable.path for variable in efficient.weights] == [variable.path for variable in plain.weights]
    np.testing.assert_array_equal(efficient(photographs(32, 32)), plain(photographs(32, 32)))
    ours, theirs = (
        [use for use in keras_archs.profile(model).layers if use.parameters] for model in (efficient, plain)
    )
    assert ours == theirs


@pytest.mark.parametrize("saved", [False, True], ids=["plain", "efficient"])
def test_a_saved_densenet_reloads_and_loads_into_the_other_form(saved: bool, densenets: Twins, tmp_path: Path) -> None:
    densenets[saved].save(tmp_path / "model.keras")
    answer = np.asarray(densenets[saved](photographs(32, 32)))
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(photographs(32, 32)), answer)
    other = keras_archs.DenseNet40_12(
        memory_efficient=not saved, weights=tmp_path / "model.keras", classifier_activation=None
    )
    np.testing.assert_array_equal(other(photographs(32, 32)), answer)


def test_every_layer_and_transition_of_a_densenet_is_recomputed() -> None:
    with weightless():  # names need no values
        model = keras_archs.DenseNet121(memory_efficient=True)
    names = {layer.name for layer in model.layers if layer.name.endswith("_recomputed")}
    assert len(names) == 6 + 12 + 24 + 16 + 3
    assert {"block4_layer16_bottleneck_recomputed", "transition3_recomputed"} <= names


MEMORY = """
import re, sys
import numpy as np, psutil
from tests.support.dense_block import dense

model = dense(recompute=sys.argv[1] == "True", depth=32)
model.compile("sgd", "mse", jit_compile=False)
model.train_on_batch(np.ones((1, 32, 32, 3), "float32"), np.ones((1, 2)))
before = psutil.Process().memory_info().rss
model.train_on_batch(np.ones((4, 64, 64, 3), "float32"), np.ones((4, 2)))
(peak,) = re.findall(r"VmHWM:\\s+([0-9]+) kB", open("/proc/self/status").read())  # unlike ru_maxrss, not the parent's
print(int(peak) * 1024 - before)
"""


@pytest.mark.slow
@on_tensorflow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc, which only Linux has")
def test_a_step_takes_less_than_half_the_memory() -> None:
    def peak(recompute: bool) -> int:
        program = [sys.executable, "-c", MEMORY, str(recompute)]
        return int(subprocess.run(program, capture_output=True, text=True, check=True).stdout)

    efficient, plain = peak(recompute=True), peak(recompute=False)
    assert efficient < plain / 2, f"{efficient / 2**20:.0f} of {plain / 2**20:.0f} MiB"


def test_only_true_and_false_are_allowed() -> None:
    with pytest.raises(ValueError, match=r"memory_efficient='yes'.*True or False"):
        keras_archs.create_model("densenet-40-12", memory_efficient="yes")
