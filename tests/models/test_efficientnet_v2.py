"""EfficientNetV2 gives the logits of the reference implementation, at any size."""

import inspect
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import keras
import numpy as np
import pytest

import keras_archs
from keras_archs.analysis.weightless import weightless
from keras_archs.cards.scaling import EFFICIENTNET_V2, round_filters
from tests.support.networks import assert_same, photographs
from tests.support.slow import slow_except

Calibrate = Callable[[keras.Model], keras.Model]


def build(variant: str, **options: Any) -> keras.Model:
    return keras_archs.create_model(f"efficientnet-v2-{variant}", **options)


@pytest.mark.parametrize("variant", slow_except(["b0"], ["b0", "b1", "b3", "s"]))
def test_parity_with_keras_applications(variant: str, calibrate: Calibrate) -> None:
    """With equal weights the logits agree, although ours is built for any size and theirs for a fixed size."""
    ours = calibrate(build(variant, input_shape=(None, None, 3), classifier_activation=None))
    size = EFFICIENTNET_V2[variant].resolution
    for height, width in [(size, size), (161, 113)]:
        theirs = getattr(keras.applications, f"EfficientNetV2{variant.upper()}")(
            weights=None, input_shape=(height, width, 3), classifier_activation=None, include_preprocessing=False
        )
        assert [(v.name, v.shape) for v in theirs.weights] == [(v.name, v.shape) for v in ours.weights]
        theirs.set_weights(ours.get_weights())
        images = photographs(height, width)
        assert_same(np.asarray(ours(images)), np.asarray(theirs(images)), tolerance=1e-4)


@pytest.mark.parametrize(("filters", "width", "expected"), [(16, 1.2, 16), (32, 1.2, 40), (1280, 1.1, 1408), (3, 1, 8)])
def test_rounding_may_lose_more_than_a_tenth_of_the_channels(filters: int, width: float, expected: int) -> None:
    assert round_filters(filters, width, keep=0) == expected


@pytest.mark.parametrize(("variant", "blocks"), [("b0", 21), ("b3", 32), ("s", 40)])
def test_drop_rates_rise_with_the_block_of_the_scaled_network(variant: str, blocks: int) -> None:
    with weightless():  # rates need no values
        model = build(variant)
        plain = build(variant, drop_connect_rate=0, dropout_rate=0)
    rates = [layer.rate for layer in model.layers if layer.name.endswith("_drop")]
    assert rates[-1] == pytest.approx(0.2 * (blocks - 1) / blocks)
    assert all(low < high for low, high in pairwise(rates))
    assert not any(isinstance(layer, keras.layers.Dropout) for layer in plain.layers)


def test_fused_blocks_are_a_full_convolution_without_squeeze_and_excitation() -> None:
    model = build("s")
    names = {layer.name for layer in model.layers}
    assert model.get_layer("stage1_block1_fused_conv").kernel.shape == (3, 3, 24, 24)
    assert "stage1_block1_project_conv" not in names  # without expansion there is no projection
    assert model.get_layer("stage2_block1_fused_conv").kernel.shape == (3, 3, 24, 96)
    assert model.get_layer("stage2_block1_project_conv").kernel.shape == (1, 1, 96, 48)
    with_excitation = {name.split("_")[0] for name in names if "_se_" in name}
    assert with_excitation == {"stage4", "stage5", "stage6"}
    for ratio in (None, 0):
        assert not any("_se_" in layer.name for layer in build("b0", se_ratio=ratio).layers)


def test_normalisation_and_initialisation_are_as_published() -> None:
    model = build("b0")
    normalisations = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {(layer.momentum, layer.epsilon) for layer in normalisations} == {(0.9, 1e-3)}
    fused = np.asarray(model.get_layer("stage3_block2_fused_conv").kernel)
    assert fused.std() == pytest.approx(np.sqrt(2 / (9 * 192)), rel=0.02)
    v1 = keras_archs.EfficientNetB0()
    assert v1.get_layer("stem_bn").momentum == 0.99


def test_preprocessing_follows_the_weights() -> None:
    b1, m = (keras_archs.model_card(f"efficientnet-v2-{variant}").preprocessing for variant in ("b1", "m"))
    assert (b1.size, b1.crop_fraction) == ((240, 240), 240 / 272)
    assert b1.mean == pytest.approx((123.675, 116.28, 103.53))
    assert (m.size, m.crop_fraction, m.mean, m.std) == ((480, 480), 1.0, (128,) * 3, (128,) * 3)


def test_signature_and_help() -> None:
    v1 = inspect.signature(keras_archs.EfficientNetB0)
    for variant, scaling in EFFICIENTNET_V2.items():
        builder = getattr(keras_archs, f"EfficientNetV2{variant.upper()}")
        parameters = inspect.signature(builder).parameters
        assert list(parameters) == list(v1.parameters)
        assert parameters["dropout_rate"].default == scaling.dropout
        documentation = inspect.getdoc(builder) or ""
        assert documentation.startswith(f"EfficientNetV2-{variant.upper()} for images of {scaling.resolution} pixels")
        scaled = f"width {scaling.width}, depth {scaling.depth}"
        assert (scaled in documentation) == (variant in {"b1", "b2", "b3"})


@pytest.mark.parametrize(
    ("arguments", "received", "allowed"),
    [
        ({"input_shape": (31, 64, 3)}, "(31, 64, 3)", "at least 32"),
        ({"drop_connect_rate": 1}, "drop_connect_rate=1", "less than 1"),
        ({"se_ratio": -1}, "se_ratio=-1", "positive"),
        ({"weights": "imgenet"}, "EfficientNetV2B0", "the path of a .keras or .weights.h5 file"),
    ],
)
def test_bad_values_are_refused_with_what_is_allowed(arguments: dict[str, Any], received: str, allowed: str) -> None:
    with pytest.raises(ValueError) as error:
        keras_archs.EfficientNetV2B0(**arguments)
    assert received in str(error.value)
    assert allowed in str(error.value)
