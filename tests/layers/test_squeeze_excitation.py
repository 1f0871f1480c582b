"""Squeeze-and-excitation fits into every network: ``se_ratio`` puts it everywhere, and 0 takes it away."""

import inspect

import pytest

import keras_archs
from keras_archs.analysis.weightless import weightless

# A member of each family, and how many blocks of it there are.
BLOCKS = {
    "BNInception": 10,
    "DenseNet121": 4 + 3,
    "DenseNetBC100_12": 3 + 2,
    "EfficientNetB0": 16,
    "EfficientNetLite0": 16,
    "EfficientNetV2B0": 3 + 5 + 8,  # the stages that are not fused
    "MobileNet": 13,
    "MobileNetV2": 17,
    "MobileNetV3Large": 15,
    "MobileNetV3Small": 11,
    "ResNet18": 8,
    "ResNet50": 16,
    "ResNeXt50_32x4d": 16,
    "SENet154": 50,
    "WideResNet50_2": 16,
}


def excitations(builder: str, **options: object) -> int:
    with weightless():  # counting needs no values
        model = getattr(keras_archs, builder)(**options)
    return sum(layer.name.endswith("_se_excite") for layer in model.layers)


@pytest.mark.parametrize("builder", BLOCKS)
def test_a_ratio_puts_it_into_every_block_and_0_into_none(builder: str) -> None:
    assert excitations(builder, se_ratio=1 / 8) == BLOCKS[builder]
    assert excitations(builder, se_ratio=0) == 0


def test_every_builder_has_the_argument() -> None:
    builders = {keras_archs.model_card(name).builder for name in keras_archs.list_models()}
    assert len(builders) > 40
    for name in builders:
        assert "se_ratio" in inspect.signature(getattr(keras_archs, name)).parameters, name


def test_mobilenet_v3_has_it_where_the_paper_does_unless_told_otherwise() -> None:
    assert excitations("MobileNetV3Large") == 3 + 2 + 3  # table 1
    assert excitations("MobileNetV3Small") == 1 + 3 + 2 + 3  # table 2
    assert excitations("MobileNetV3Large", minimalistic=True) == 0
    assert excitations("MobileNetV3Large", minimalistic=True, se_ratio=0.25) == BLOCKS["MobileNetV3Large"]


def test_the_published_networks_with_it() -> None:
    """Figures of the paper and, for SE-DenseNet, of arithmetic: two 1x1 convolutions with biases for each place."""
    with_and_without = {
        "se-resnet-50": ("resnet-50", [256] * 3 + [512] * 4 + [1024] * 6 + [2048] * 3),
        "se-densenet-121": ("densenet-121", [256, 128, 512, 256, 1024, 512, 1024]),
    }
    for name, (plain, channels) in with_and_without.items():
        more = keras_archs.model_card(name).cost.trainable - keras_archs.model_card(plain).cost.trainable
        assert more == sum(2 * c * (c // 16) + c // 16 + c for c in channels)
