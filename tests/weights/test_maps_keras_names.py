"""Files of keras.applications are read by position, but never against their names."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

import keras_archs
from keras_archs.weights.errors import CheckpointError
from keras_archs.weights.loading import Source, layers_of, load_tensors
from keras_archs.weights.maps import NAME_MAPS
from tests.support.references_keras import MEAN, VARIANCE

Tensors = dict[str, NDArray[Any]]


def file_of(model: keras.Model, names: str) -> Tensors:
    """Tensors as in a file of today's Keras; the n-th tensor is full of n."""
    assignments = NAME_MAPS[names].assignments(layers_of(model))
    return {name: np.full(variable.shape, n, np.float32) for n, (name, variable, _) in enumerate(assignments)}


def load(model: keras.Model, names: str, tensors: Tensors) -> None:
    load_tensors(model, tensors, Source(NAME_MAPS[names], classes=1000))


def assert_loaded(model: keras.Model) -> None:
    for number, variable in enumerate(model.weights):
        np.testing.assert_array_equal(variable, np.full(variable.shape, number, np.float32))


def respelt(tensors: Tensors, spell: Callable[[str], str]) -> Tensors:
    return {spell(name): tensor for name, tensor in tensors.items()}


@pytest.fixture(scope="module")
def mobilenet() -> keras.Model:
    return keras_archs.MobileNet(alpha=0.25)


def as_in_tensorflow_models(name: str) -> str:
    """Return MobileNetV3's names before Keras 3: ``expanded_conv_1/expand/BatchNorm/gamma``."""
    layer, _, variable = name.rpartition("/")
    for step in ("expand", "depthwise", "project", "squeeze_excite"):
        layer = layer.replace(f"_{step}", f"/{step}")
    layer = layer.replace("_bn", "/BatchNorm").replace("squeeze_excite_conv", "squeeze_excite/Conv")
    layer = layer.replace("conv", "Conv") if layer.startswith("conv") else layer.replace("logits", "Logits")
    return f"{layer}/{'depthwise_kernel' if layer.endswith('/depthwise') else variable}"


def as_first_published(name: str) -> str:
    """Return MobileNetV2's names of 2018: ``bn1_conv_1_bn_expand/gamma``."""
    layer, _, variable = name.rpartition("/")
    block, _, step = layer.removesuffix("_BN").rpartition("_")
    if block.startswith(("expanded_conv", "block_")):
        number = block.removeprefix("block_") if block.startswith("block_") else "0"
        normalised = layer.endswith("_BN")
        layer = f"bn{number}_conv_{number}_bn_{step}" if normalised else f"mobl{number}_conv_{number}_{step}"
    return f"{layer.replace('predictions', 'Logits')}/{variable}"


@pytest.mark.parametrize(
    ("model", "names", "spell"),
    [
        (
            lambda: keras_archs.ScaledDenseNet121(depth=0.1),
            "keras-densenet",
            lambda name: name.replace("_bn/", "/bn/").replace("_conv/", "/conv/").replace("predictions", "fc1000"),
        ),
        (lambda: keras_archs.ScaledMobileNetV2(depth=0.5), "keras-mobilenet-v2", as_first_published),
        (keras_archs.MobileNetV3Small, "keras-mobilenet-v3", as_in_tensorflow_models),
    ],
    ids=["densenet", "mobilenet-v2", "mobilenet-v3"],
)
@pytest.mark.filterwarnings("error")
def test_names_of_older_versions_of_keras_are_known(
    model: Callable[[], keras.Model], names: str, spell: Callable[[str], str]
) -> None:
    network = model()
    tensors = file_of(network, names)
    old = respelt(tensors, spell)
    assert len(old.keys() & tensors.keys()) < 15
    load(network, names, old)
    assert_loaded(network)


def test_spellings_in_old_files_are_as_expected() -> None:
    assert as_in_tensorflow_models("expanded_conv_1_depthwise_bn/gamma") == "expanded_conv_1/depthwise/BatchNorm/gamma"
    assert as_in_tensorflow_models("expanded_conv_depthwise/kernel") == "expanded_conv/depthwise/depthwise_kernel"
    assert as_in_tensorflow_models("conv_1_bn/gamma") == "Conv_1/BatchNorm/gamma"
    assert (
        as_in_tensorflow_models("expanded_conv_squeeze_excite_conv_1/bias")
        == "expanded_conv/squeeze_excite/Conv_1/bias"
    )
    assert as_first_published("block_1_expand_BN/gamma") == "bn1_conv_1_bn_expand/gamma"
    assert as_first_published("expanded_conv_depthwise/kernel") == "mobl0_conv_0_depthwise/kernel"


def test_a_classifier_that_is_a_1x1_convolution_becomes_a_dense_layer(mobilenet: keras.Model) -> None:
    tensors = file_of(mobilenet, "keras-mobilenet")
    kernel = np.random.default_rng(0).normal(size=(256, 1000)).astype(np.float32)
    tensors["conv_preds/kernel"] = kernel[None, None]
    load(mobilenet, "keras-mobilenet", tensors)
    np.testing.assert_array_equal(mobilenet.get_layer("predictions").kernel, kernel)


def test_a_file_with_a_classifier_fills_a_network_without_it() -> None:
    whole, body = keras_archs.MobileNet(alpha=0.25), keras_archs.MobileNet(alpha=0.25, include_top=False)
    load(body, "keras-mobilenet", file_of(whole, "keras-mobilenet"))
    assert_loaded(body)


def test_a_name_that_keras_never_gave_is_used_by_position_with_a_warning(mobilenet: keras.Model) -> None:
    tensors = respelt(file_of(mobilenet, "keras-mobilenet"), lambda name: name.replace("conv_pw_3/", "conv2d_7/"))
    with pytest.warns(UserWarning, match="by their position, .* their names: conv2d_7/kernel for conv_pw_3/kernel$"):
        load(mobilenet, "keras-mobilenet", tensors)
    assert_loaded(mobilenet)


def swapped(tensors: Tensors) -> Tensors:
    """Exchange the positions of two depthwise layers of equal shape."""
    order = list(tensors)
    first, second = order.index("conv_dw_8/kernel"), order.index("conv_dw_9/kernel")
    order[first], order[second] = order[second], order[first]
    return {name: tensors[name] for name in order}


def one_more(tensors: Tensors) -> Tensors:
    items = list(tensors.items())
    items.insert(10, ("attention/kernel", np.zeros((1, 1, 8, 8))))
    return dict(items)


def one_less(tensors: Tensors) -> Tensors:
    return {name: tensor for name, tensor in tensors.items() if not name.startswith("conv_pw_5/")}


def twice(tensors: Tensors) -> Tensors:
    """Add the stem once more at the end, and hide the first."""
    return respelt(tensors, lambda name: name.replace("conv1/", "stem/")) | {"conv1/kernel": np.zeros((3, 3, 3, 8))}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            swapped,
            r"network: 2 tensors out of order: conv_dw_9/kernel is in the place of conv_dw_8/kernel, conv_dw_8/",
        ),
        (one_more, r"tensors without a variable: attention/kernel"),
        (one_less, r"variables without a tensor: conv_pw_5/kernel"),
        (twice, r"conv1/kernel is behind the last"),
        (lambda tensors: dict(list(tensors.items())[:-1]), r"expects conv_preds/bias"),
        (lambda tensors: tensors | {"extra/kernel": np.zeros(1)}, r"tensors without a variable: extra/kernel"),
        (lambda tensors: tensors | {"conv_pw_5/kernel": np.zeros((1, 1, 64, 63))}, r"conv_pw_5/kernel gives"),
    ],
    ids=["order", "one more", "one less", "twice", "end missing", "more at the end", "shape"],
)
def test_a_file_of_another_order_or_with_other_layers_changes_no_variable(
    mobilenet: keras.Model, change: Callable[[Tensors], Tensors], complaint: str
) -> None:
    before = mobilenet.get_weights()
    with pytest.raises(CheckpointError, match=complaint):
        load(mobilenet, "keras-mobilenet", change(file_of(mobilenet, "keras-mobilenet")))
    assert all(np.array_equal(*pair) for pair in zip(before, mobilenet.get_weights(), strict=True))


def test_the_file_of_another_network_is_refused_with_the_names_of_both_sides(mobilenet: keras.Model) -> None:
    tensors = file_of(keras_archs.ScaledMobileNetV2(depth=0.3), "keras-mobilenet-v2")
    with pytest.raises(CheckpointError) as error:
        load(mobilenet, "keras-mobilenet", tensors)
    assert "tensors without a variable: bn_Conv1/gamma" in str(error.value)
    assert "variables without a tensor: conv1_bn/gamma" in str(error.value)


def with_normalisation(tensors: Tensors, mean: Any, variance: Any, name: str = "normalization") -> Tensors:
    values = {"mean": np.float32(mean), "variance": np.float32(variance), "count": np.int64(0)}
    return {f"{name}/{key}": np.asarray(value) for key, value in values.items()} | tensors


@pytest.fixture(scope="module")
def efficientnet() -> keras.Model:
    return keras_archs.EfficientNet(depth=0.3)


@pytest.mark.parametrize("name", ["normalization", "normalization_3"])
def test_the_normalisation_in_efficientnets_file_is_left_out(efficientnet: keras.Model, name: str) -> None:
    tensors = file_of(efficientnet, "keras-efficientnet")
    load(efficientnet, "keras-efficientnet", with_normalisation(tensors, MEAN, VARIANCE, name))
    assert_loaded(efficientnet)


@pytest.mark.parametrize(
    ("mean", "variance", "complaint"),
    [
        (np.zeros(3), VARIANCE, r"normalization/mean is \(0.0, 0.0, 0.0\), but \(0.485, 0.456, 0.406\) in the"),
        (MEAN, np.square(VARIANCE), r"normalization/variance is \(0.0524, 0.0502, 0.0506\)"),
        (MEAN, np.ones(1), r"normalization/variance is \(1.0,\)"),
    ],
    ids=["mean", "variance", "shape"],
)
def test_another_normalisation_needs_another_preprocessing(
    efficientnet: keras.Model, mean: Any, variance: Any, complaint: str
) -> None:
    tensors = with_normalisation(file_of(efficientnet, "keras-efficientnet"), mean, variance)
    with pytest.raises(CheckpointError, match=complaint):
        load(efficientnet, "keras-efficientnet", tensors)
