"""Tensors are assigned completely or not at all, and a mismatch names everything on both sides."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import keras_archs
from keras_archs.weights.assignment import Assignment, MismatchError, assign_all
from keras_archs.weights.loading import Source, load_tensors
from keras_archs.weights.maps import NAME_MAPS
from tests.support.source_files import Tensors, tensors_of

SOURCE = Source(NAME_MAPS["torchvision-resnet"], classes=10)


@pytest.fixture(scope="module")
def state() -> Tensors:
    return tensors_of(keras_archs.ResNet20(), "torchvision-resnet")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda state: state.pop("bn1.bias"), r"1 variables without a tensor: stem_conv_bn/beta \(expects bn1.bias\)"),
        (lambda state: state.update(extra=np.zeros(1)), "1 tensors without a variable: extra"),
        (
            lambda state: state.update({"fc.bias": np.zeros(9)}),
            r"1 shapes that differ: predictions/bias has \(10,\), fc.bias gives \(9,\)",
        ),
        (
            lambda state: state.update({"conv1.weight": np.zeros(9)}),
            r"stem_conv/kernel has \(3, 3, 3, 16\), conv1.weight gives \(9,\)",
        ),
    ],
    ids=["missing", "left over", "shape", "number of axes"],
)
def test_a_mismatch_of_tensors_changes_no_variable(
    change: Callable[[Tensors], Any], complaint: str, state: Tensors
) -> None:
    change(state := dict(state))
    model = keras_archs.ResNet20()
    before = model.get_weights()
    with pytest.raises(MismatchError, match=complaint):
        load_tensors(model, state, SOURCE)
    assert all(np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True))


def test_all_left_overs_of_both_sides_are_named(state: Tensors) -> None:
    deeper = tensors_of(keras_archs.ResNet32(), "torchvision-resnet")
    with pytest.raises(MismatchError) as error:
        load_tensors(keras_archs.ResNet20(), deeper, SOURCE)
    assert set(error.value.left_over) == set(deeper) - set(state)
    assert error.value.missing == ()
    assert "60 tensors without a variable: layer1.3.conv1.weight" in str(error.value)
    assert str(error.value).endswith("and 48 more")
    with pytest.raises(MismatchError) as error:
        load_tensors(keras_archs.ResNet32(), state, SOURCE)
    assert len(error.value.missing) == 60
    assert "stage1_block4_conv1/kernel (expects layer1.3.conv1.weight)" in error.value.missing
    assert error.value.left_over == ()


def test_a_layer_in_front_of_the_network_is_not_silently_left_out(state: Tensors) -> None:
    images = keras.Input((32, 32, 4))
    colours = keras.layers.Conv2D(3, 1, name="colours")(images)
    with pytest.raises(MismatchError, match="2 variables without a tensor: colours/kernel, colours/bias"):
        load_tensors(keras_archs.ResNet20(input_tensor=colours), state, SOURCE)


def test_a_map_that_assigns_a_variable_twice_is_an_error() -> None:
    dense = keras.layers.Dense(1, use_bias=False)
    dense.build((1, 1))
    twice = [Assignment(name, dense.kernel, np.asarray) for name in ("a", "b")]
    with pytest.raises(ValueError, match="kernel is assigned twice"):
        assign_all(dense.weights, {"a": np.ones((1, 1)), "b": np.ones((1, 1))}, twice)


def test_half_precision_is_widened(state: Tensors) -> None:
    half = {name: values.astype(np.float16) for name, values in state.items()}
    model = keras_archs.ResNet20()
    load_tensors(model, half, SOURCE)
    kernel = np.asarray(model.get_layer("stem_conv").kernel)
    assert kernel.dtype == np.float32
    np.testing.assert_array_equal(kernel, half["conv1.weight"].transpose(2, 3, 1, 0).astype(np.float32))
