"""Costs come from the graph, and what is not known is not counted as nothing."""

import csv

import keras
import numpy as np
import pytest
from keras import layers

import keras_archs
from keras_archs.cost import COSTS, profile


def test_the_published_table_has_a_row_for_each_network() -> None:
    """What is in the rows, the tests over the registry compute."""
    with COSTS.open(encoding="utf-8") as table:
        assert [row["name"] for row in csv.DictReader(table)] == keras_archs.list_models()


def one_layer(layer: keras.Layer, shape: tuple[int, ...] = (8, 10, 6)) -> int | None:
    result = profile(keras.Sequential([keras.Input(shape), layer]))
    assert len(result.layers) == 1
    return result.macs


@pytest.mark.parametrize(
    ("layer", "macs"),
    [
        (layers.Conv2D(4, 3, padding="same"), 80 * 9 * 6 * 4),
        (layers.Conv2D(4, 3, padding="valid"), 6 * 8 * 9 * 6 * 4),
        (layers.Conv2D(4, 3, strides=2, padding="same", groups=2), 20 * 9 * 3 * 4),
        (layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2), 80 * 9 * 12),
        (layers.SeparableConv2D(4, 3, padding="same", depth_multiplier=2), 80 * (9 * 12 + 12 * 4)),
        (layers.Conv2DTranspose(4, 2, strides=2), 80 * 4 * 6 * 4),
        (layers.Dense(5), 80 * 6 * 5),
        (layers.BatchNormalization(), 0),
        (layers.PReLU(), 0),
        (layers.ReLU(), 0),
        (layers.EinsumDense("abcd,de->abce", (8, 10, 5)), None),
        (layers.TimeDistributed(layers.Dense(5)), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_multiply_adds_of_a_layer(layer: keras.Layer, macs: int | None) -> None:
    assert one_layer(layer) == macs


def test_one_and_three_dimensions_and_channels_first() -> None:
    assert one_layer(layers.Conv1D(4, 3, padding="same"), (10, 6)) == 10 * 3 * 6 * 4
    assert one_layer(layers.Conv3D(4, 3, padding="same"), (2, 8, 10, 6)) == 160 * 27 * 6 * 4
    first = layers.Conv2D(4, 3, padding="same", data_format="channels_first")
    assert one_layer(first, (6, 8, 10)) == 80 * 9 * 6 * 4


def test_one_unknown_layer_makes_the_total_unknown() -> None:
    model = keras.Sequential([keras.Input((4, 6)), layers.Dense(3), layers.LSTM(2)])
    result = profile(model)
    assert [layer.macs for layer in result.layers] == [4 * 6 * 3, None]
    assert result.macs is None
    assert result.parameters == model.count_params()


def test_nested_models_are_taken_apart_and_shared_layers_count_per_use() -> None:
    inner = keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(3, 1, name="shared")])
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, inner(inner(inputs)) + inputs)
    result = profile(model)
    assert [layer.name for layer in result.layers if layer.kind == "Conv2D"] == ["shared", "shared"]
    assert result.macs == 2 * 16 * 9
    assert result.parameters == 12


def test_another_size_and_frozen_layers() -> None:
    model = keras_archs.EfficientNetB0(input_shape=(None, None, 3))
    with pytest.raises(ValueError, match="input_shape"):
        profile(model)
    assert profile(model, (224, 224, 3)).macs == 385_814_752
    model.trainable = False
    frozen = profile(model, (448, 448, 3))
    assert frozen.macs is not None
    # All but the classifier and squeeze-and-excitation grows with the area.
    assert 3.97 < frozen.macs / 385_814_752 < 4
    assert (frozen.trainable, frozen.parameters) == (0, 5_330_564)


def test_keras_applications() -> None:
    result = profile(keras.applications.EfficientNetB0(weights=None))
    assert result.macs == 385_814_752
    assert (result.trainable, result.non_trainable) == (5_288_548, 42_023)
    assert profile(keras.applications.MobileNet(weights=None)).macs == 568_740_352


def test_the_model_is_left_as_it_was() -> None:
    model = keras_archs.EfficientNetLite0(input_shape=(64, 64, 3), classes=2)
    before = model(np.ones((1, 64, 64, 3), np.float32))
    profile(model, (96, 96, 3))
    assert model.get_layer("stem_conv").output.shape == (None, 32, 32, 32)  # still one output per layer
    np.testing.assert_array_equal(model(np.ones((1, 64, 64, 3), np.float32)), before)


def test_models_without_a_graph_are_refused() -> None:
    class Subclassed(keras.Model):
        pass

    with pytest.raises(ValueError, match="functional and sequential"):
        profile(Subclassed())
