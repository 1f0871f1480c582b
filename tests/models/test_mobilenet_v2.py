"""MobileNetV2 gives the logits of the reference implementation, at any size."""

import inspect
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import keras_archs
from tests.support.networks import assert_same, photographs, share_weights
from tests.support.slow import slow_except

Calibrate = Callable[[keras.Model], keras.Model]


@pytest.mark.parametrize("alpha", slow_except([0.35], [0.35, 1.0, 1.4]))
def test_parity_with_keras_applications(alpha: float, calibrate: Calibrate) -> None:
    """With equal weights the logits agree, although ours is built for any size and theirs for a fixed size."""
    ours = calibrate(keras_archs.MobileNetV2(alpha=alpha, input_shape=(None, None, 3), classifier_activation=None))
    for height, width in [(224, 224), (161, 113)]:
        theirs = keras.applications.MobileNetV2(
            alpha=alpha, weights=None, input_shape=(height, width, 3), classifier_activation=None
        )
        share_weights(ours, theirs)
        images = photographs(height, width)
        assert_same(np.asarray(ours(images)), np.asarray(theirs(images)), tolerance=1e-4)


@pytest.mark.parametrize(
    ("alpha", "stem", "stages", "top"),
    [
        (0.35, 16, [8, 8, 16, 24, 32, 56, 112], 1280),
        (0.5, 16, [8, 16, 16, 32, 48, 80, 160], 1280),
        (1.0, 32, [16, 24, 32, 64, 96, 160, 320], 1280),
        (1.3, 40, [24, 32, 40, 80, 128, 208, 416], 1664),
        (1.4, 48, [24, 32, 48, 88, 136, 224, 448], 1792),
    ],
)
def test_alpha_scales_every_layer_but_never_shrinks_the_last(
    alpha: float, stem: int, stages: list[int], top: int
) -> None:
    model = keras_archs.MobileNetV2(alpha=alpha, include_top=False, pooling="avg")
    assert model.get_layer("stem_conv").filters == stem
    assert [model.get_layer(f"stage{n}_block1_project_conv").filters for n in range(1, 8)] == stages
    assert model.output_shape == (None, top)


def test_bottlenecks_are_linear_and_skip_where_shapes_allow() -> None:
    names = {layer.name for layer in keras_archs.MobileNetV2().layers}
    assert not any("project_activation" in name for name in names)
    assert "stage1_block1_expand_conv" not in names
    skips = {name for name in names if name.endswith("_add")}
    # In each row of Table 2 every block but the first.
    rows = {2: 2, 3: 3, 4: 4, 5: 3, 6: 3}
    assert skips == {f"stage{row}_block{n}_add" for row, count in rows.items() for n in range(2, count + 1)}


def test_constants_are_as_published() -> None:
    model = keras_archs.MobileNetV2()
    norm = model.get_layer("top_bn")
    assert (norm.momentum, norm.epsilon) == (0.997, 1e-3)
    assert model.get_layer("top_dropout").rate == 0.2
    kernel = np.asarray(model.get_layer("top_conv").kernel)
    assert np.abs(kernel).max() == pytest.approx(0.18, rel=0.01)  # standard deviation 0.09, truncated at twice that
    assert not any(isinstance(layer, keras.layers.Dropout) for layer in keras_archs.MobileNetV2(dropout_rate=0).layers)


def test_drop_rates_rise_with_depth_in_blocks_with_a_skip() -> None:
    """The rate of a block depends on its number among all blocks, with and without a skip."""
    model = keras_archs.MobileNetV2(drop_path_rate=0.34)
    rates = {layer.name: layer.rate for layer in model.layers if layer.name.endswith("_drop")}
    assert set(rates) == {layer.name.replace("_add", "_drop") for layer in model.layers if layer.name.endswith("_add")}
    assert rates["stage2_block2_drop"] == pytest.approx(0.34 * 3 / 17)
    assert rates["stage6_block3_drop"] == pytest.approx(0.34 * 16 / 17)


def test_squeeze_and_excitation_scales_the_expanded_channels() -> None:
    model = keras_archs.MobileNetV2(se_ratio=0.25)
    assert model.get_layer("stage3_block2_se_reduce").filters == 32 * 6 // 4
    assert model.get_layer("stage3_block2_project_conv").input is model.get_layer("stage3_block2_se_excite").output


def test_signature_and_help() -> None:
    own = ["dropout_rate", "drop_path_rate", "se_ratio", "alpha"]
    assert list(inspect.signature(keras_archs.MobileNetV2).parameters)[-4:] == own
    assert (inspect.getdoc(keras_archs.MobileNetV2) or "").startswith("MobileNetV2 for images of 224 pixels")


@pytest.mark.parametrize(
    ("arguments", "received", "allowed"),
    [
        ({"alpha": 0}, "alpha=0", "positive"),
        ({"alpha": None}, "alpha=None", "positive"),
        ({"dropout_rate": -0.1}, "dropout_rate=-0.1", "at least 0"),
        ({"drop_path_rate": 1}, "drop_path_rate=1", "less than 1"),
        ({"se_ratio": -0.25}, "se_ratio=-0.25", "positive"),
        ({"weights": "imgenet"}, "MobileNetV2", "the path of a .keras or .weights.h5 file"),
    ],
)
def test_bad_values_are_refused_with_what_is_allowed(arguments: dict[str, Any], received: str, allowed: str) -> None:
    with pytest.raises(ValueError) as error:
        keras_archs.MobileNetV2(**arguments)
    assert received in str(error.value)
    assert allowed in str(error.value)
