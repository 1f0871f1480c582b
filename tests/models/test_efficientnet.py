"""EfficientNet gives the logits of the reference implementations, at any size."""

import inspect
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_archs
from keras_archs.cards.origin import origin_of
from keras_archs.cards.scaling import EFFICIENTNET, round_filters, round_repeats
from keras_archs.models import efficientnet
from tests.support.networks import assert_same, macs, photographs, relative_distance
from tests.support.slow import slow_except

Calibrate = Callable[[keras.Model], keras.Model]


@pytest.mark.parametrize("variant", slow_except(["b0"], EFFICIENTNET))
def test_parity_with_keras_applications(variant: str, calibrate: Calibrate) -> None:
    """With equal weights the logits agree, although ours is built for any size and theirs for a fixed size."""
    build = getattr(keras_archs, f"EfficientNet{variant.upper()}")
    ours = calibrate(build(input_shape=(None, None, 3), classifier_activation=None))
    size = EFFICIENTNET[variant].resolution
    # B5 and larger take gigabytes at their own size and are compared on a small image only.
    own = [(size, size)] if macs(f"efficientnet-{variant}") < 5e9 else []
    for height, width in [*own, (161, 113)]:
        theirs = getattr(keras.applications, f"EfficientNet{variant.upper()}")(
            weights=None, input_shape=(height, width, 3), classifier_activation=None
        )
        normalisation = theirs.get_layer(index=2)  # with weights=None its mean is 0, its variance 1
        assert isinstance(normalisation, keras.layers.Normalization)
        shared = theirs.weights[len(normalisation.weights) :]
        assert [(v.name, v.shape) for v in shared] == [(v.name, v.shape) for v in ours.weights]
        for their_variable, our_variable in zip(shared, ours.weights, strict=True):
            their_variable.assign(our_variable)
        images = photographs(height, width)
        assert_same(np.asarray(ours(images)), np.asarray(theirs(images * 255)), tolerance=1e-4)


def test_the_tolerance_detects_padding_on_the_wrong_side(calibrate: Calibrate) -> None:
    """A shift by one pixel, as symmetric Torch padding would cause, is far outside the tolerance."""
    ours = calibrate(keras_archs.EfficientNetB0(classifier_activation=None, input_shape=(None, None, 3)))
    images = photographs(224, 224)
    moved = np.roll(images, 1, axis=(1, 2))
    assert relative_distance(np.asarray(ours(moved)), np.asarray(ours(images))) > 0.1


@pytest.mark.parametrize(
    ("filters", "width", "expected"),
    [(32, 1.0, 32), (32, 1.1, 32), (32, 1.2, 40), (16, 1.2, 24), (1280, 1.1, 1408), (320, 1.4, 448), (3, 1, 8)],
)
def test_round_filters(filters: int, width: float, expected: int) -> None:
    assert round_filters(filters, width) == expected


def test_round_repeats_rounds_up() -> None:
    assert [round_repeats(n, 1.1) for n in (1, 2, 3, 4)] == [2, 3, 4, 5]


def test_lite_scales_neither_stem_nor_head_nor_the_depth_of_the_outer_stages() -> None:
    model = keras_archs.EfficientNetLite4()
    assert (model.get_layer("stem_conv").filters, model.get_layer("top_conv").filters) == (32, 1280)
    names = {layer.name for layer in model.layers}
    assert "stage1_block2_depthwise_conv" not in names
    assert "stage7_block2_depthwise_conv" not in names
    assert "stage2_block4_depthwise_conv" in names
    assert not any("_se_" in name for name in names)


def test_drop_rates_rise_with_the_block_and_only_where_a_skip_exists() -> None:
    model = keras_archs.EfficientNetB0(drop_connect_rate=0.32)
    drops = [layer for layer in model.layers if layer.name.endswith("_drop")]
    rates = {layer.name: layer.rate for layer in drops}
    # 9 of the 16 blocks have a skip. The second block of stage 2 is the third block of the network: number 2 from 0.
    assert len(drops) == 9
    assert rates["stage2_block2_drop"] == pytest.approx(0.32 * 2 / 16)
    assert rates["stage6_block4_drop"] == pytest.approx(0.32 * 14 / 16)
    assert all(low < high for low, high in pairwise(rates.values()))
    assert all(layer.noise_shape == (None, 1, 1, 1) for layer in drops)


def test_rates_of_zero_add_no_dropout_layers() -> None:
    model = keras_archs.EfficientNetB0(drop_connect_rate=0.0, dropout_rate=0.0)
    assert not any(isinstance(layer, keras.layers.Dropout) for layer in model.layers)


@pytest.mark.parametrize("ratio", [None, 0])
def test_a_ratio_of_none_or_zero_adds_no_squeeze_and_excitation(ratio: float | None) -> None:
    model = keras_archs.EfficientNetB0(se_ratio=ratio)
    assert not any("_se_" in layer.name for layer in model.layers)


def test_initialisation_is_as_published() -> None:
    model = keras_archs.EfficientNetB0()
    top = np.asarray(model.get_layer("top_conv").kernel)
    assert top.std() == pytest.approx(np.sqrt(2 / 1280), rel=0.02)
    assert np.abs(top).max() > 3 * top.std()  # a truncated normal distribution ends at 2 standard deviations
    dense = np.asarray(model.get_layer("predictions").kernel)
    assert np.abs(dense).max() == pytest.approx(1 / np.sqrt(1000), rel=0.01)
    reduce, other = (model.get_layer(f"stage4_block{n}_se_reduce").kernel for n in (2, 3))
    assert not np.allclose(reduce, other)


def test_include_top_false_returns_features() -> None:
    features = keras_archs.EfficientNetB0(include_top=False)
    assert features.output_shape == (None, None, None, 1280)
    assert keras_archs.EfficientNetB0(include_top=False, pooling="avg").output_shape == (None, 1280)
    assert keras_archs.EfficientNetB0(include_top=False, pooling="max").output_shape == (None, 1280)


def test_a_saved_model_reloads_without_this_package(calibrate: Calibrate, tmp_path: Path) -> None:
    model = calibrate(keras_archs.EfficientNetB0(input_shape=(None, None, 3), name="saved"))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(photographs(65, 64)), model(photographs(65, 64)))
    assert origin_of(model) is not None
    assert origin_of(loaded) is None  # documented: a loaded model is another object


def test_origin_holds_the_arguments_that_differ_from_the_defaults_as_json() -> None:
    images = keras.Input((64, 48, 3))
    origin = origin_of(keras_archs.EfficientNetB0(classes=3, name="mine", input_tensor=images, pooling=None))
    assert origin is not None
    assert (origin.builder, origin.weights) == ("EfficientNetB0", None)
    assert json.loads(json.dumps(origin.arguments)) == {
        "classes": 3,
        "name": "mine",
        "input_shape": [64, 48, 3],
    }


def test_name_changes_nothing_but_the_name() -> None:
    plain, named = keras_archs.EfficientNetB0(), keras_archs.EfficientNetB0(name="encoder")
    assert (plain.name, named.name) == ("efficientnetb0", "encoder")
    assert [layer.name for layer in plain.layers] == [layer.name for layer in named.layers]


def test_signature_and_help() -> None:
    signature = inspect.signature(keras_archs.EfficientNetB2)
    assert list(signature.parameters) == [
        *("include_top", "weights", "input_tensor", "input_shape", "pooling", "classes"),
        *("classifier_activation", "name", "prefix", "dropout_rate", "drop_connect_rate", "se_ratio"),
    ]
    assert {p.kind for p in signature.parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
    defaults = {key: parameter.default for key, parameter in signature.parameters.items()}
    assert (defaults["name"], defaults["dropout_rate"], defaults["classes"]) == ("efficientnetb2", 0.3, 1000)
    documentation = inspect.getdoc(keras_archs.EfficientNetB2) or ""
    assert documentation.startswith("EfficientNet-B2 for images of 260 pixels: width 1.1, depth 1.2")
    assert all(f"\n    {key}: " in documentation for key in signature.parameters)
    assert inspect.signature(keras_archs.EfficientNetLite0).parameters["se_ratio"].default is None


def test_documentation_states_the_scaling() -> None:
    for variant, scaling in EFFICIENTNET.items():
        documentation = getattr(efficientnet, f"EfficientNet{variant.upper()}").__doc__
        assert f"for images of {scaling.resolution} pixels" in documentation
        assert variant == "b0" or f"width {scaling.width}, depth {scaling.depth}" in documentation


@pytest.mark.parametrize(
    ("arguments", "received", "allowed"),
    [
        ({"input_shape": (31, 64, 3)}, "(31, 64, 3)", "at least 32"),
        ({"input_shape": (64, 64)}, "(64, 64)", "(height, width, channels)"),
        ({"input_shape": (64, 64, None)}, "None", "at least 1 channel"),
        ({"input_shape": 224}, "224", "(height, width, channels)"),
        ({"input_tensor": np.zeros((1, 64, 64, 3))}, "ndarray", "Keras tensor"),
        ({"classes": 0}, "classes=0", "at least 1"),
        ({"classes": 10.0}, "classes=10.0", "integer"),
        ({"pooling": "mean"}, "'mean'", '"avg" or "max"'),
        ({"classifier_activation": "sigmoyd"}, "'sigmoyd'", '"sigmoid"'),
        ({"dropout_rate": 1.0}, "dropout_rate=1.0", "less than 1"),
        ({"drop_connect_rate": -0.1}, "drop_connect_rate=-0.1", "at least 0"),
        ({"se_ratio": -1}, "se_ratio=-1", "positive"),
        ({"include_top": "yes"}, "'yes'", "True or False"),
        ({"weights": "noisy-student"}, "'noisy-student'", "path of a .keras or .weights.h5 file"),
    ],
)
def test_bad_values_are_refused_with_what_is_allowed(arguments: dict[str, Any], received: str, allowed: str) -> None:
    with pytest.raises(ValueError) as error:
        keras_archs.EfficientNetB0(**arguments)
    assert received in str(error.value)
    assert allowed in str(error.value)


def test_weights_do_not_hide_a_shape_that_is_not_allowed() -> None:
    with pytest.raises(ValueError, match=r"\(height, width, channels\)"):
        keras_archs.EfficientNetLite0(weights="imagenet", input_shape=224)  # type: ignore[arg-type]


def test_unknown_and_positional_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match=r"EfficientNetLite0\(\) got unknown arguments \['alpha'\]; it takes"):
        keras_archs.EfficientNetLite0(alpha=0.25)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"EfficientNetB0\(\) takes keyword arguments only, got 1"):
        keras_archs.EfficientNetB0(False)  # type: ignore[call-arg]


def test_contradicting_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="contradicts"):
        keras_archs.EfficientNetB0(input_tensor=keras.Input((64, 64, 3)), input_shape=(32, 32, 3))


def test_channels_first_is_refused() -> None:
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match="channels_last"):
            keras_archs.EfficientNetB0()
    finally:
        keras.config.set_image_data_format("channels_last")
