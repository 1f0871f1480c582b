"""Grouped convolution equals one convolution per group, forward and backward, and exports as plain convolutions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_archs.analysis.cost import profile
from keras_archs.layers import GroupedConv2D

on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="about TensorFlow's graphs")


def per_group(images: tf.Tensor, kernel: tf.Tensor, groups: int, stride: int, padding: str) -> tf.Tensor:
    """Compute a grouped convolution by its definition: split, convolve, concatenate."""
    parts = zip(tf.split(images, groups, -1), tf.split(kernel, groups, -1), strict=True)
    return tf.concat([tf.nn.conv2d(x, w, stride, padding.upper()) for x, w in parts], -1)


@on_tensorflow
@pytest.mark.parametrize("compile_with", [lambda f: f, tf.function], ids=["eager", "graph"])
@pytest.mark.parametrize(("stride", "padding"), [(1, "same"), (2, "valid"), (2, "same")])
@pytest.mark.parametrize(("channels", "filters", "groups"), [(32, 32, 8), (12, 24, 3), (6, 6, 6)])
def test_values_and_gradients_are_those_of_each_group(
    channels: int, filters: int, groups: int, stride: int, padding: str, compile_with: Callable[[Any], Any]
) -> None:
    random = np.random.default_rng(0)
    images = tf.constant(random.normal(size=(2, 15, 14, channels)).astype(np.float32))
    layer = GroupedConv2D(filters, 3, stride, padding=padding, groups=groups, use_bias=False)
    layer.build(images.shape)
    assert tuple(layer.kernel.shape) == (3, 3, channels // groups, filters)

    def results(convolve: Callable[[tf.Tensor], tf.Tensor]) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = convolve(images)
            loss = tf.reduce_sum(tf.sin(outputs))
        return [outputs, *tape.gradient(loss, [images, layer.kernel.value])]

    ours = compile_with(lambda: results(layer))()
    theirs = results(lambda x: per_group(x, layer.kernel.value, groups, stride, padding))
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our, their, rtol=1e-4, atol=1e-5)


def test_other_arguments_work_as_in_conv2d() -> None:
    images = np.random.default_rng(0).normal(size=(2, 9, 9, 8)).astype(np.float32)
    for arguments in ({"dilation_rate": 2}, {"activation": "relu"}, {"padding": "same", "use_bias": False}):
        ours, theirs = (kind(16, 3, groups=4, **arguments) for kind in (GroupedConv2D, layers.Conv2D))
        ours.build(images.shape)
        theirs.build(images.shape)
        ours.set_weights([np.random.default_rng(1).normal(size=w.shape) for w in theirs.get_weights()])
        theirs.set_weights(ours.get_weights())
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(ours(images)), keras.ops.convert_to_numpy(theirs(images)), rtol=1e-4, atol=1e-4
        )


def concrete_function(layer: keras.Layer) -> Any:
    model = keras.Sequential([keras.Input((8, 8, 8)), layer])
    return tf.function(model).get_concrete_function(tf.TensorSpec((None, 8, 8, 8)))


def compiled(function: Any) -> bool:
    nodes = [*function.graph.as_graph_def().node]
    for inner in function.graph.as_graph_def().library.function:
        nodes += inner.node_def
        if "_XlaMustCompile" in inner.attr and inner.attr["_XlaMustCompile"].b:
            return True
    return any("_XlaMustCompile" in node.attr and node.attr["_XlaMustCompile"].b for node in nodes)


@on_tensorflow
def test_the_graph_needs_no_compiler() -> None:
    assert compiled(concrete_function(layers.Conv2D(16, 3, groups=4)))  # why GroupedConv2D exists
    assert not compiled(concrete_function(GroupedConv2D(16, 3, groups=4)))


def test_mixed_precision() -> None:
    layer = GroupedConv2D(8, 3, groups=2, dtype="mixed_bfloat16")
    outputs = layer(np.ones((1, 8, 8, 4), np.float32))
    assert (keras.backend.standardize_dtype(outputs.dtype), layer.kernel.dtype) == ("bfloat16", "float32")


def test_it_trains_and_reloads(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((None, None, 8)), GroupedConv2D(8, 3, groups=4, activation="relu")])
    before = model.get_weights()[0]
    model.compile("sgd", "mse")
    images = np.random.default_rng(0).normal(size=(4, 8, 8, 8)).astype(np.float32)
    model.fit(images, images[:, 1:-1, 1:-1], verbose=0)
    assert not np.allclose(model.get_weights()[0], before)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert isinstance(loaded.layers[0], GroupedConv2D)
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), model.predict(images, verbose=0))


def test_it_costs_as_much_as_conv2d() -> None:
    costs = [
        profile(keras.Sequential([keras.Input((8, 8, 8)), kind(16, 3, groups=4)])).macs
        for kind in (GroupedConv2D, layers.Conv2D)
    ]
    assert costs == [36 * 9 * 2 * 16] * 2
