"""MobileNetV3 gives the logits of the reference implementation, at any size."""

import inspect
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import keras_archs
from tests.support.networks import assert_same, photographs, share_weights

Calibrate = Callable[[keras.Model], keras.Model]


@pytest.mark.parametrize(
    ("builder", "arguments"),
    [
        pytest.param("MobileNetV3Large", {}, marks=pytest.mark.slow),
        pytest.param("MobileNetV3Large", {"alpha": 0.75}, marks=pytest.mark.slow),
        ("MobileNetV3Large", {"minimalistic": True}),
        ("MobileNetV3Small", {}),
        pytest.param("MobileNetV3Small", {"alpha": 0.75}, marks=pytest.mark.slow),
        pytest.param("MobileNetV3Small", {"minimalistic": True}, marks=pytest.mark.slow),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value) or "1.0",
)
def test_parity_with_keras_applications(builder: str, arguments: dict[str, Any], calibrate: Calibrate) -> None:
    """With equal weights the logits agree, although ours is built for any size and theirs for a fixed size."""
    build = getattr(keras_archs, builder)
    ours = calibrate(build(input_shape=(None, None, 3), classifier_activation=None, **arguments))
    for height, width in [(224, 224), (161, 113)]:
        theirs = getattr(keras.applications, builder)(
            weights=None,
            input_shape=(height, width, 3),
            include_preprocessing=False,
            classifier_activation=None,
            **arguments,
        )
        share_weights(ours, theirs)
        images = photographs(height, width)
        assert_same(np.asarray(ours(images)), np.asarray(theirs(images)), tolerance=1e-4)


@pytest.mark.parametrize(
    ("builder", "expanded", "squeezed"),
    [
        # Columns "exp size" and "SE" of Tables 1 and 2.
        (
            "MobileNetV3Large",
            [16, 64, 72, 72, 120, 120, 240, 200, 184, 184, 480, 672, 672, 960, 960],
            [3, 4, 5, 10, 11, 12, 13, 14],
        ),
        ("MobileNetV3Small", [16, 72, 88, 96, 240, 240, 120, 144, 288, 576, 576], [0, 3, 4, 5, 6, 7, 8, 9, 10]),
    ],
)
def test_blocks_are_those_of_the_tables(builder: str, expanded: list[int], squeezed: list[int]) -> None:
    model = getattr(keras_archs, builder)()
    names = [layer.name.removesuffix("_depthwise_conv") for layer in model.layers if "_depthwise_conv" in layer.name]
    assert [model.get_layer(f"{name}_depthwise_conv").kernel.shape[2] for name in names] == expanded
    layers = {layer.name for layer in model.layers}
    assert [index for index, name in enumerate(names) if f"{name}_se_excite" in layers] == squeezed


def test_the_gate_is_piecewise_linear_with_a_quarter_of_the_expanded_channels_in_its_bottleneck() -> None:
    model = keras_archs.MobileNetV3Large()
    reduce, expand = (model.get_layer(f"stage3_block1_se_{step}") for step in ("reduce", "expand"))
    assert (reduce.filters, expand.filters) == (24, 72)  # 72 / 4, rounded to a multiple of 8 without losing 10 %
    assert (reduce.activation, expand.activation) == (keras.activations.relu, keras.activations.hard_sigmoid)


def test_minimalistic_networks_have_no_squeeze_and_excitation_no_h_swish_and_no_5x5_filters() -> None:
    model = keras_archs.MobileNetV3Large(minimalistic=True)
    assert not any("_se_" in layer.name for layer in model.layers)
    windows = {layer.kernel_size for layer in model.layers if isinstance(layer, keras.layers.DepthwiseConv2D)}
    assert windows == {(3, 3)}
    activations = {layer.activation for layer in model.layers if isinstance(layer, keras.layers.Activation)}
    assert activations == {keras.activations.relu}
    assert model.get_layer("neck").activation is keras.activations.relu


@pytest.mark.parametrize(
    ("alpha", "stem", "last", "top", "neck"),
    [(0.5, 8, 80, 480, 1280), (0.75, 16, 120, 720, 1280), (1.0, 16, 160, 960, 1280), (1.25, 24, 200, 1200, 1600)],
)
def test_alpha_scales_every_layer_but_never_shrinks_the_neck(
    alpha: float, stem: int, last: int, top: int, neck: int
) -> None:
    model = keras_archs.MobileNetV3Large(alpha=alpha)
    filters = [model.get_layer(f"{name}_conv").filters for name in ("stem", "stage6_block3_project", "top")]
    assert filters == [stem, last, top]
    assert model.get_layer("neck").units == neck


def test_without_classifier_there_is_no_neck() -> None:
    features = keras_archs.MobileNetV3Small(include_top=False, pooling="avg")
    assert features.output_shape == (None, 576)
    assert keras_archs.MobileNetV3Small(include_top=False).output_shape == (None, None, None, 576)
    assert "neck" not in {layer.name for layer in features.layers}


def test_constants_are_as_published() -> None:
    model = keras_archs.MobileNetV3Small()
    norm = model.get_layer("top_bn")
    assert (norm.momentum, norm.epsilon) == (0.99, 1e-3)
    assert model.get_layer("top_dropout").rate == 0.2
    assert model.get_layer("top_dropout").input is model.get_layer("neck").output
    kernel = np.asarray(model.get_layer("neck").kernel)
    assert np.abs(kernel).max() == pytest.approx(0.18, rel=0.01)  # standard deviation 0.09, truncated at twice that


def test_signature_and_help() -> None:
    parameters = inspect.signature(keras_archs.MobileNetV3Large).parameters
    assert list(parameters)[-5:] == ["alpha", "minimalistic", "dropout_rate", "drop_path_rate", "se_ratio"]
    assert (inspect.getdoc(keras_archs.MobileNetV3Large) or "").startswith("MobileNetV3-Large for images of 224")


@pytest.mark.parametrize(
    ("arguments", "received", "allowed"),
    [
        ({"alpha": -1}, "alpha=-1", "positive"),
        ({"alpha": "large"}, "alpha='large'", "positive"),
        ({"minimalistic": None}, "minimalistic=None", "True or False"),
        ({"dropout_rate": 1}, "dropout_rate=1", "less than 1"),
        ({"weights": "imgenet"}, "MobileNetV3Small", "the path of a .keras or .weights.h5 file"),
    ],
)
def test_bad_values_are_refused_with_what_is_allowed(arguments: dict[str, Any], received: str, allowed: str) -> None:
    with pytest.raises(ValueError) as error:
        keras_archs.MobileNetV3Small(**arguments)
    assert received in str(error.value)
    assert allowed in str(error.value)
