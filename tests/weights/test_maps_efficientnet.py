"""The names that Torch's EfficientNets and MobileNetV3s have for the layers of ours."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

import keras_archs
from keras_archs.weights.assignment import MismatchError
from keras_archs.weights.loading import Source, layers_of, load_tensors
from keras_archs.weights.maps import NAME_MAPS


def tensors_by_variable(model: keras.Model, names: str) -> dict[str, str]:
    return {variable.path: tensor for tensor, variable, _ in NAME_MAPS[names].assignments(layers_of(model))}


@pytest.mark.parametrize(
    ("build", "names", "expected"),
    [
        pytest.param(
            lambda: keras_archs.EfficientNet(depth=0.3),
            "timm-efficientnet",
            {
                "stem_conv/kernel": "conv_stem.weight",
                "stem_bn/gamma": "bn1.weight",
                "stage1_block1_depthwise_bn/moving_mean": "blocks.0.0.bn1.running_mean",
                "stage1_block1_se_reduce/bias": "blocks.0.0.se.conv_reduce.bias",
                "stage1_block1_project_conv/kernel": "blocks.0.0.conv_pw.weight",
                "stage2_block1_expand_conv/kernel": "blocks.1.0.conv_pw.weight",
                "stage2_block1_depthwise_bn/moving_variance": "blocks.1.0.bn2.running_var",
                "stage2_block1_project_conv/kernel": "blocks.1.0.conv_pwl.weight",
                "top_bn/beta": "bn2.bias",
                "predictions/kernel": "classifier.weight",
            },
            id="separable and inverted blocks",
        ),
        pytest.param(
            lambda: keras_archs.EfficientNetV2(depth=0.3),
            "timm-efficientnet",
            {
                "stage1_block1_fused_conv/kernel": "blocks.0.0.conv.weight",
                "stage1_block1_fused_bn/gamma": "blocks.0.0.bn1.weight",
                "stage2_block1_fused_conv/kernel": "blocks.1.0.conv_exp.weight",
                "stage2_block1_project_conv/kernel": "blocks.1.0.conv_pwl.weight",
                "stage2_block1_project_bn/gamma": "blocks.1.0.bn2.weight",
                "top_conv/kernel": "conv_head.weight",
            },
            id="fused blocks",
        ),
        pytest.param(
            keras_archs.MobileNetV3Small,
            "timm-mobilenet-v3",
            {
                "top_conv/kernel": "blocks.5.0.conv.weight",
                "top_bn/gamma": "blocks.5.0.bn1.weight",
                "neck/kernel": "conv_head.weight",
                "neck/bias": "conv_head.bias",
                "predictions/bias": "classifier.bias",
            },
            id="head of MobileNetV3",
        ),
        pytest.param(
            lambda: keras_archs.EfficientNetLite(depth=0.3),
            "efficientnet-pytorch",
            {
                "stage1_block1_depthwise_conv/kernel": "_blocks.0._depthwise_conv.weight",
                "stage4_block1_expand_bn/gamma": "_blocks.3._bn0.weight",
                "top_bn/moving_mean": "_bn1.running_mean",
                "predictions/bias": "_fc.bias",
            },
            id="Lite's own packages",
        ),
    ],
)
def test_every_variable_has_the_tensor_of_the_same_part(
    build: Callable[[], keras.Model], names: str, expected: dict[str, str]
) -> None:
    model = build()
    tensors = tensors_by_variable(model, names)
    assert {path: tensors[path] for path in expected} == expected
    assert tensors.keys() == {variable.path for variable in model.weights}
    assert len(set(tensors.values())) == len(tensors)


def state_of(model: keras.Model, names: str) -> dict[str, NDArray[Any]]:
    """Tensors with the names and shapes of a Torch network's state dict, full of zeros."""
    tensors: dict[str, NDArray[Any]] = {}
    for tensor, variable, _ in NAME_MAPS[names].assignments(layers_of(model)):
        shape = variable.shape
        if len(shape) == 4:
            depthwise = "depthwise" in variable.path
            shape = tuple(shape[axis] for axis in ((2, 3, 0, 1) if depthwise else (3, 2, 0, 1)))
        tensors[tensor] = np.zeros(shape[::-1] if len(shape) == 2 else shape, np.float32)
    return tensors


def test_the_tensors_of_another_network_are_refused_with_the_names_of_both_sides() -> None:
    shallow, deep = keras_archs.EfficientNetLite(depth=0.5), keras_archs.EfficientNetLite(depth=0.6)
    source = Source(NAME_MAPS["timm-efficientnet"], classes=1000)
    with pytest.raises(MismatchError) as error:
        load_tensors(shallow, state_of(deep, "timm-efficientnet"), source)
    assert error.value.missing == ()
    assert "blocks.1.1.conv_pw.weight" in error.value.left_over
    with pytest.raises(MismatchError) as error:
        load_tensors(deep, state_of(shallow, "timm-efficientnet"), source)
    assert "stage2_block2_expand_conv/kernel (expects blocks.1.1.conv_pw.weight)" in error.value.missing
    assert error.value.left_over == ()


def test_the_neck_of_mobilenet_v3_is_a_1x1_convolution_in_timm() -> None:
    model = keras_archs.MobileNetV3Small()
    state = state_of(model, "timm-mobilenet-v3")
    kernel = np.random.default_rng(0).normal(size=(1024, 576, 1, 1)).astype(np.float32)
    load_tensors(model, state | {"conv_head.weight": kernel}, Source(NAME_MAPS["timm-mobilenet-v3"], classes=1000))
    np.testing.assert_array_equal(model.get_layer("neck").kernel, kernel[:, :, 0, 0].T)
