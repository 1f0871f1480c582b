"""Residual networks compute what the paper says; those of Torch lineage are compared in tests/parity."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import keras
import numpy as np
import pytest

import keras_archs
from tests.support.networks import assert_same, photographs, relative_distance
from tests.support.slow import slow_except

Calibrate = Callable[[keras.Model], keras.Model]


def copy_by_topology(ours: keras.Model, theirs: keras.Model) -> None:
    """Give ``theirs`` our weights, and biases of 0 to its convolutions."""

    def their_names() -> list[tuple[str, str]]:
        names = [("stem_conv", "conv1")]
        for layer in ours.layers:
            if isinstance(layer, keras.layers.Conv2D) and layer.name != "stem_conv":
                stage, block, unit = layer.name.split("_")
                number = 0 if unit == "shortcut" else int(unit.removeprefix("conv"))
                names.append((layer.name, f"conv{int(stage[-1]) + 1}_{block}_{number}"))
        return names

    pairs = their_names()
    assert len(pairs) == sum(isinstance(layer, keras.layers.Conv2D) for layer in theirs.layers)
    for our_name, their_name in pairs:
        kernel = ours.get_layer(our_name).kernel
        theirs.get_layer(f"{their_name}_conv").set_weights([kernel, np.zeros(kernel.shape[-1])])
        theirs.get_layer(f"{their_name}_bn").set_weights(ours.get_layer(f"{our_name}_bn").get_weights())
    theirs.get_layer("predictions").set_weights(ours.get_layer("predictions").get_weights())


@pytest.mark.parametrize("depth", slow_except([50], [50, 101]))
def test_parity_of_the_papers_form_with_keras_applications(depth: int, calibrate: Calibrate) -> None:
    keras.config.set_dtype_policy("float64")  # so that rounding in a hundred layers hides no difference
    build = getattr(keras_archs, f"ResNet{depth}")
    ours = calibrate(build(stride_in_1x1=True, input_shape=(None, None, 3), classifier_activation=None))
    for shape in ((224, 224), (161, 113)):
        theirs = getattr(keras.applications, f"ResNet{depth}")(
            weights=None, input_shape=(*shape, 3), classifier_activation=None
        )
        copy_by_topology(ours, theirs)
        for layer in theirs.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.epsilon = 1e-5  # theirs is 1.001e-5
        images = photographs(*shape)
        assert_same(np.asarray(ours(images)), np.asarray(theirs(images)), tolerance=1e-5)


def test_v1_and_v15_have_the_same_weights_and_other_outputs(calibrate: Calibrate) -> None:
    ours = calibrate(keras_archs.ResNet50(input_shape=(96, 96, 3), classifier_activation=None))
    paper = keras_archs.ResNet50(input_shape=(96, 96, 3), classifier_activation=None, stride_in_1x1=True)
    paper.set_weights(ours.get_weights())
    assert relative_distance(np.asarray(paper(photographs(96, 96))), np.asarray(ours(photographs(96, 96)))) > 0.1
    first = keras_archs.profile(keras_archs.SEResNet50(stride_in_1x1=True)).macs
    assert first == pytest.approx(3.8605e9, abs=0.5001e5)  # timm's legacy_seresnet50


def test_caffes_pooling_has_its_border_on_the_right_and_lower_side_only() -> None:
    model = keras_archs.SEResNet50(stem_pooling="caffe", input_shape=(64, 50, 3))
    layers = [model.get_layer(name).output for name in ("stem_conv_relu", "stem_pool")]
    before, after = map(np.asarray, keras.Model(model.input, layers)(photographs(64, 50)))
    assert (before.shape[1:3], after.shape[1:3]) == ((32, 25), (16, 12))
    for row, column in np.ndindex(16, 12):
        window = before[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]  # smaller at the lower border
        np.testing.assert_array_equal(after[:, row, column], window.max(axis=(1, 2)))


def test_wide_networks_are_wide_inside_only() -> None:
    model = keras_archs.WideResNet50_2(input_shape=(64, 64, 3))
    filters = [model.get_layer(f"stage4_block3_conv{n}").filters for n in (1, 2, 3)]
    assert filters == [1024, 1024, 2048]


def test_cardinality_is_in_the_3x3_convolution() -> None:
    model = keras_archs.ResNeXt50_32x4d(input_shape=(64, 64, 3))
    convolution = model.get_layer("stage1_block1_conv2")
    assert (convolution.groups, tuple(convolution.kernel.shape)) == (32, (3, 3, 4, 128))
    grouped = {layer.name.split("_")[-1] for layer in model.layers if getattr(layer, "groups", 1) > 1}
    assert grouped == {"conv2"}


def test_squeeze_and_excitation_weighs_the_branch_before_the_addition() -> None:
    model = keras_archs.SEResNet18(input_shape=(64, 64, 3))
    assert model.get_layer("stage1_block1_se_reduce").filters == 64 // 16
    excite = model.get_layer("stage1_block1_se_excite")
    assert excite.input[0] is model.get_layer("stage1_block1_conv2_bn").output
    drop = model.get_layer("stage1_block1_drop")
    assert drop.input is excite.output
    assert any(tensor is drop.output for tensor in model.get_layer("stage1_block1_add").input)


@pytest.mark.parametrize("ratio", [None, 0])
def test_without_squeeze_and_excitation_it_is_the_plain_network(ratio: float | None) -> None:
    names = [layer.name for layer in keras_archs.SEResNet50(se_ratio=ratio).layers]
    assert names == [layer.name for layer in keras_archs.ResNet50().layers]


def test_drop_rates_rise_with_the_block_up_to_the_last() -> None:
    model = keras_archs.ResNet34(drop_path_rate=0.5)
    drops = [layer for layer in model.layers if layer.name.endswith("_drop")]
    rates = [layer.rate for layer in drops]
    assert (len(rates), rates[0], rates[-1]) == (16, 0.5 / 16, 0.5)
    assert all(low < high for low, high in pairwise(rates))
    assert all(layer.noise_shape == (None, 1, 1, 1) for layer in drops)
    assert not any(isinstance(layer, keras.layers.Dropout) for layer in keras_archs.ResNet34().layers)


def test_a_block_with_zero_gamma_starts_as_the_identity() -> None:
    model = keras_archs.ResNet50(zero_init_residual=True, input_shape=(64, 64, 3))
    features = keras.Model(model.input, [model.get_layer(f"stage1_block{block}_relu").output for block in (1, 2)])
    first, second = features(photographs(64, 64))
    np.testing.assert_array_equal(first, second)
    gammas = [layer.gamma for layer in model.layers if layer.name.endswith("conv3_bn")]
    assert len(gammas) == 16
    assert not any(np.asarray(gamma).any() for gamma in gammas)
    plain = keras_archs.ResNet50()
    assert np.asarray(plain.get_layer("stage1_block1_conv3_bn").gamma).all()


def test_initialisation_and_normalisation_are_those_of_torchs_model_zoo() -> None:
    model = keras_archs.ResNeXt50_32x4d()
    for name, fan_out in (("stage4_block2_conv1", 1024), ("stage3_block2_conv2", 9 * 512)):
        kernel = np.asarray(model.get_layer(name).kernel)
        assert kernel.std() == pytest.approx(np.sqrt(2 / fan_out), rel=0.02)
        assert np.abs(kernel).max() > 3 * kernel.std()  # a truncated normal has no values beyond 2
    dense = np.asarray(model.get_layer("predictions").kernel)
    assert np.abs(dense).max() == pytest.approx(1 / np.sqrt(2048), rel=0.01)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            assert (layer.momentum, layer.epsilon) == (0.9, 1e-5)
        if isinstance(layer, keras.layers.Conv2D):
            assert not layer.use_bias


def test_without_classifier() -> None:
    assert keras_archs.ResNet18(include_top=False).output_shape == (None, None, None, 512)
    assert keras_archs.ResNet50(include_top=False, pooling="avg").output_shape == (None, 2048)
    assert keras_archs.ResNeXt50_32x4d(include_top=False, pooling="max").output_shape == (None, 2048)


@pytest.mark.parametrize(
    ("arguments", "received", "allowed"),
    [
        ({"drop_path_rate": 1.0}, "drop_path_rate=1.0", "less than 1"),
        ({"se_ratio": -1}, "se_ratio=-1", "positive"),
        ({"zero_init_residual": "yes"}, "'yes'", "True or False"),
        ({"stride_in_1x1": 2}, "stride_in_1x1=2", "True or False"),
        ({"input_shape": (31, 64, 3)}, "(31, 64, 3)", "at least 32"),
    ],
)
def test_bad_values_are_refused_with_what_is_allowed(arguments: dict[str, Any], received: str, allowed: str) -> None:
    with pytest.raises(ValueError) as error:
        keras_archs.ResNet50(**arguments)
    assert received in str(error.value)
    assert allowed in str(error.value)


@pytest.mark.parametrize(
    "builder", ["ResNet18", "WideResNet50_2", "ResNeXt50_32x4d", "SEResNet34", "SEResNeXt50_32x4d"]
)
def test_networks_that_exist_in_one_form_only_refuse_stride_in_1x1(builder: str) -> None:
    with pytest.raises(TypeError, match=rf"{builder}\(\) got unknown arguments \['stride_in_1x1'\]"):
        getattr(keras_archs, builder)(stride_in_1x1=True)


@pytest.mark.parametrize("builder", ["ResNet50", "ResNeXt50_32x4d", "SEResNet18", "SEResNet34", "BNInception"])
def test_networks_whose_authors_have_one_pooling_refuse_stem_pooling(builder: str) -> None:
    with pytest.raises(TypeError, match=rf"{builder}\(\) got unknown arguments \['stem_pooling'\]"):
        getattr(keras_archs, builder)(stem_pooling="caffe")


def test_an_unknown_pooling_is_refused_with_what_is_allowed() -> None:
    arguments: dict[str, Any] = {"stem_pooling": "same"}
    with pytest.raises(ValueError, match=r"stem_pooling='same'\) is not allowed.*\"torch\" on all sides.*\"caffe\" on"):
        keras_archs.SENet154(**arguments)
