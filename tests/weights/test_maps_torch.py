"""The names that Torch's sources give to the tensors of residual networks, DenseNet and BN-Inception."""

import re
from functools import cache

import keras
import numpy as np
import pytest

import keras_archs
from keras_archs.analysis.weightless import weightless
from keras_archs.cards.published_weights import entries
from keras_archs.registry import list_models
from keras_archs.weights.assignment import Assignment, MismatchError
from keras_archs.weights.loading import Source, layers_of, load_tensors
from keras_archs.weights.maps import NAME_MAPS
from tests.support.slow import slow_except
from tests.support.source_files import Tensors


@cache
def assignments(names: str, network: str, include_top: bool = True) -> dict[str, Assignment]:
    """Return the assignments of a network, by tensor. Their variables have shapes only."""
    with weightless():
        model = keras_archs.create_model(network, include_top=include_top)
    return {assignment.tensor: assignment for assignment in NAME_MAPS[names].assignments(layers_of(model))}


NAMES = {
    ("torchvision-resnet", "resnext-50-32x4d"): {
        "conv1.weight": "stem_conv/kernel",
        "bn1.running_mean": "stem_conv_bn/moving_mean",
        "layer1.0.conv2.weight": "stage1_block1_conv2/kernel",
        "layer2.0.downsample.1.running_var": "stage2_block1_shortcut_bn/moving_variance",
        "layer4.2.bn3.bias": "stage4_block3_conv3_bn/beta",
        "fc.weight": "predictions/kernel",
    },
    ("timm-senet", "se-resnet-50"): {
        "layer1.0.se.fc1.weight": "stage1_block1_se_reduce/kernel",
        "layer4.2.se.fc2.bias": "stage4_block3_se_expand/bias",
        "layer2.0.downsample.0.weight": "stage2_block1_shortcut/kernel",
    },
    ("timm-senet", "senet-154"): {
        "conv1.0.weight": "stem_conv1/kernel",
        "conv1.1.weight": "stem_conv1_bn/gamma",
        "conv1.6.weight": "stem_conv3/kernel",
        "bn1.weight": "stem_conv3_bn/gamma",
    },
    ("cadene-senet", "senet-154"): {
        "layer0.conv1.weight": "stem_conv1/kernel",
        "layer0.bn3.weight": "stem_conv3_bn/gamma",
        "layer3.35.se_module.fc2.weight": "stage3_block36_se_expand/kernel",
        "last_linear.bias": "predictions/bias",
    },
    ("pytorchcv-resnet", "se-resnet-18"): {
        "features.init_block.conv.conv.weight": "stem_conv/kernel",
        "features.init_block.conv.bn.weight": "stem_conv_bn/gamma",
        "features.stage2.unit1.body.conv2.bn.running_var": "stage2_block1_conv2_bn/moving_variance",
        "features.stage2.unit1.identity_conv.conv.weight": "stage2_block1_shortcut/kernel",
        "features.stage4.unit2.se.conv1.bias": "stage4_block2_se_reduce/bias",
        "output.weight": "predictions/kernel",
    },
    ("pytorchcv-senet", "senet-154"): {
        "features.init_block.conv3.bn.weight": "stem_conv3_bn/gamma",
        "output.fc.weight": "predictions/kernel",
    },
    ("pytorchcv-resnext-cifar", "resnext-29-16x64d"): {"features.init_block.conv.weight": "stem_conv/kernel"},
    ("pytorchcv-wrn", "wide-resnet-28-10"): {
        "features.init_block.weight": "stem_conv/kernel",
        "features.stage1.unit1.body.conv1.bn.weight": "stage1_block1_conv1_bn/gamma",
        "features.stage1.unit1.identity_conv.weight": "stage1_block1_shortcut/kernel",
        "features.post_activ.bn.weight": "top_bn/gamma",
    },
    ("akamaster-resnet", "resnet-20"): {
        "conv1.weight": "stem_conv/kernel",
        "layer3.2.bn2.running_mean": "stage3_block3_conv2_bn/moving_mean",
        "linear.weight": "predictions/kernel",
    },
    ("torch-densenet", "densenet-121"): {
        "features.conv0.weight": "stem_conv/kernel",
        "features.norm0.weight": "stem_bn/gamma",
        "features.denseblock4.denselayer16.norm1.weight": "block4_layer16_bottleneck_bn/gamma",
        "features.denseblock4.denselayer16.conv2.weight": "block4_layer16_growth_conv/kernel",
        "features.transition3.conv.weight": "transition3_conv/kernel",
        "features.norm5.bias": "top_bn/beta",
        "classifier.bias": "predictions/bias",
    },
    ("pytorchcv-densenet", "densenet-121"): {
        "features.init_block.bn.weight": "stem_bn/gamma",
        "features.stage4.unit16.conv2.conv.weight": "block4_layer16_growth_conv/kernel",
        "features.stage2.trans2.conv.bn.weight": "transition1_bn/gamma",
    },
    ("pytorchcv-densenet-cifar", "densenet-bc-100-12"): {"features.init_block.weight": "stem_conv/kernel"},
    ("pytorchcv-bninception", "bn-inception"): {
        "features.init_block.conv2.conv1.conv.bias": "stem2_reduce_conv/bias",
        "features.stage1.unit1.branches.branch1.conv.weight": "inception3a_pointwise_conv/kernel",
        "features.stage2.unit1.branches.branch2.conv3.bn.weight": "inception3c_double2_bn/gamma",
        "features.stage3.unit3.branches.branch4.conv.conv.weight": "inception5b_projection_conv/kernel",
    },
    ("cadene-bninception", "bn-inception"): {
        "conv1_7x7_s2.weight": "stem1_conv/kernel",
        "conv2_3x3_reduce_bn.weight": "stem2_reduce_bn/gamma",
        "inception_3c_double_3x3_1.bias": "inception3c_double1_conv/bias",
        "inception_5b_pool_proj_bn.running_var": "inception5b_projection_bn/moving_variance",
        "last_linear.weight": "predictions/kernel",
    },
}
QUICK = [key for key in NAMES if key[1] not in {"senet-154", "resnext-29-16x64d", "wide-resnet-28-10"}]
SOURCES = ("torch", "timm-senet", "cadene", "pytorchcv", "akamaster")
PUBLISHED = sorted(
    {(e.names, network) for network in list_models() for e in entries(network) if e.names.startswith(SOURCES)}
)


@pytest.mark.parametrize("key", slow_except(QUICK, NAMES), ids=" ".join)
def test_tensors_have_the_names_of_the_source(key: tuple[str, str]) -> None:
    found, expected = assignments(*key), NAMES[key]
    assert {tensor: found[tensor].variable.path for tensor in expected} == expected


@pytest.mark.parametrize("key", slow_except(QUICK, PUBLISHED), ids=" ".join)
def test_every_variable_of_a_published_network_has_a_tensor_of_its_own(key: tuple[str, str]) -> None:
    names, network = key
    model = without_values(network)
    found = list(NAME_MAPS[names].assignments(layers_of(model)))
    assert sorted(assignment.variable.path for assignment in found) == sorted(v.path for v in model.weights)
    assert len({assignment.tensor for assignment in found}) == len(found)


@pytest.mark.parametrize(("names", "network"), QUICK)
def test_a_network_without_classifier_lacks_the_top_tensors_only(names: str, network: str) -> None:
    whole, body = assignments(names, network), assignments(names, network, include_top=False)
    assert {tensor for tensor in whole if tensor.startswith(NAME_MAPS[names].top)} == set(whole) - set(body)
    assert len(whole) - len(body) == 2


def test_densenets_files_with_the_names_of_older_versions_are_known() -> None:
    expected = assignments("torch-densenet", "densenet-121")
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", name): np.zeros(1) for name in expected}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    assert list(NAME_MAPS["torch-densenet"].rename(old, expected)) == list(expected)


def test_channels_behind_akamasters_shortcuts_come_in_the_order_of_ours() -> None:
    """There, the second stage has the first stage's 16 channels in its middle; here, first."""
    found = assignments("akamaster-resnet", "resnet-20")
    second = found["layer2.0.bn2.weight"].convert(np.arange(32))
    assert list(second) == [*range(8, 24), *range(8), *range(24, 32)]
    third = found["layer3.1.bn2.weight"].convert(np.arange(64))
    assert list(third) == [*(16 + second), *range(16), *range(48, 64)]
    dense = np.arange(10 * 64).reshape(10, 64)
    np.testing.assert_array_equal(found["linear.weight"].convert(dense), dense[:, third].T)
    inside = np.arange(64)  # channels that no shortcut reaches
    np.testing.assert_array_equal(found["layer3.1.bn1.weight"].convert(inside), inside)
    kernel = np.arange(64 * 32).reshape(64, 32, 1, 1)
    np.testing.assert_array_equal(found["layer3.0.conv1.weight"].convert(kernel)[0, 0], kernel[:, second, 0, 0].T)


def without_values(network: str) -> keras.Model:
    """Return a network whose weights have shapes only."""
    with weightless():
        return keras_archs.create_model(network)


def file_of(network: str, names: str) -> Tensors:
    """Return tensors of the shapes that a source has for a network; in Torch, the axes of kernels are the other way."""
    return {tensor: np.zeros(found.variable.shape[::-1]) for tensor, found in assignments(names, network).items()}


def refused(network: str, tensors: Tensors, names: str) -> MismatchError:
    """Return the error of loading these tensors."""
    with pytest.raises(MismatchError) as error:
        load_tensors(without_values(network), tensors, Source(NAME_MAPS[names], classes=1000))
    return error.value


@pytest.fixture(scope="module")
def resnet50() -> Tensors:
    return file_of("resnet-50", "torchvision-resnet")


def test_a_deeper_network_names_the_variables_that_a_shallower_networks_file_lacks(resnet50: Tensors) -> None:
    error = refused("resnet-101", resnet50, "torchvision-resnet")
    assert "255 variables without a tensor: stage3_block7_conv1/kernel (expects layer3.6.conv1.weight)" in str(error)
    assert not error.left_over


def test_a_file_of_resnext_names_the_kernels_that_differ(resnet50: Tensors) -> None:
    error = refused("resnext-50-32x4d", resnet50, "torchvision-resnet")
    assert "stage1_block1_conv2/kernel has (3, 3, 4, 128), layer1.0.conv2.weight gives (3, 3, 64, 64)" in str(error)
    assert not error.left_over
    assert not error.missing


def test_squeeze_and_excitation_that_one_side_lacks_is_named(resnet50: Tensors) -> None:
    error = refused("se-resnet-50", resnet50, "timm-senet")
    expected = "64 variables without a tensor: stage1_block1_se_reduce/kernel (expects layer1.0.se.fc1.weight)"
    assert expected in str(error)
    assert not error.left_over
    error = refused("resnet-50", file_of("se-resnet-50", "timm-senet"), "torchvision-resnet")
    assert "64 tensors without a variable: layer1.0.se.fc1.weight" in str(error)
    assert not error.missing


def test_a_file_of_another_source_names_both_sides(resnet50: Tensors) -> None:
    error = refused("resnet-50", resnet50, "pytorchcv-resnet")
    assert "stem_conv/kernel (expects features.init_block.conv.conv.weight)" in str(error)
    assert "tensors without a variable: conv1.weight" in str(error)
    assert len(error.missing) == len(error.left_over) == len(resnet50)
