"""Wide ResNet: Zagoruyko & Komodakis, "Wide Residual Networks" (2016).

Width instead of depth: few wide blocks train faster than many thin ones and are as accurate. WRN-d-k is for CIFAR:
of d = 6n+4 layers, 6n are in three stages of n blocks, k times as wide as ResNet's (Table 1). A block normalises and
activates before each of its two 3x3 convolutions, and has dropout between them (figure 1(d)).

The networks for ImageNet are ResNets whose bottlenecks are twice as wide inside; the block's output stays as wide.
"""

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from typing import Annotated, Unpack

import keras

from keras_archs.layers.endpoints import endpoint
from keras_archs.layers.heads import cifar_input, classification_head, model_of
from keras_archs.layers.options import CIFAR_CLASSES, Option, ScalingOptions, is_fraction, is_positive_integer
from keras_archs.layers.squeeze_excitation import torch_squeeze_excite
from keras_archs.layers.stochastic_depth import add_branch, drop_rates, dropout
from keras_archs.layers.torch_style import bn_relu, conv, he_fan_out, torch_dense
from keras_archs.models.architecture import architecture
from keras_archs.models.resnet import RESNET, ResidualOptions, residual_network

WIDE_RESNET = {
    "50-2": replace(RESNET["50"], width=128),
    "101-2": replace(RESNET["101"], width=128),
}


def is_depth(value: object) -> bool:
    """Allow 6n+4, for at least one block in each stage."""
    return isinstance(value, int) and value >= 10 and value % 6 == 4


class CifarOptions(ResidualOptions, total=False):
    """Arguments of a Wide ResNet for CIFAR."""

    dropout_rate: Annotated[
        float,
        Option(
            0.0,
            "Dropout between a block's convolutions; at least 0 and less than 1. The paper's rates are 0.3 on CIFAR "
            "and 0.4 on SVHN, where it uses dropout.",
            is_fraction,
        ),
    ]


class WideResNetOptions(CifarOptions, total=False):
    """Arguments of WRN-d-k."""

    depth: Annotated[
        int,
        Option(28, "Layers with weights: 6n + 4 for n blocks in each stage, so 10, 16, 22, 28 and so on.", is_depth),
    ]
    widen_factor: Annotated[
        int,
        Option(10, "Factor k on the stages' 16, 32 and 64 channels; an integer of at least 1.", is_positive_integer),
    ]


class ScaledOptions(ResidualOptions, ScalingOptions, total=False):
    """Arguments of Wide ResNet-50-2 at any scale."""


def _block(
    x: keras.KerasTensor, filters: int, stride: int, options: CifarOptions, *, drop_rate: float, name: str
) -> keras.KerasTensor:
    """Compute figure 1(d); a projection shares the branch's first normalisation and activation (authors' code)."""
    # No scale of 0 in the last normalisation, as in ResNet: the ReLU behind it would let no gradient through.
    last_initializer = keras.initializers.Zeros if options["zero_init_residual"] else he_fan_out

    def branch(x: keras.KerasTensor) -> keras.KerasTensor:
        x = conv(x, filters, 3, stride, name=f"{name}_conv1")
        x = bn_relu(x, name=f"{name}_conv2")
        x = dropout(x, options["dropout_rate"], name=f"{name}_dropout")
        x = conv(x, filters, 3, kernel_initializer=last_initializer, name=f"{name}_conv2")
        return torch_squeeze_excite(x, options["se_ratio"], name=name)

    shortcut, x = x, bn_relu(x, name=f"{name}_conv1")
    if stride > 1 or shortcut.shape[-1] != filters:
        shortcut = conv(x, filters, 1, stride, name=f"{name}_shortcut")
    return add_branch(shortcut, x, branch, drop_rate, per=options["drop_path_per"], name=name)


def _stage(
    x: keras.KerasTensor, filters: int, stride: int, options: CifarOptions, *, drop_rates: Iterable[float], name: str
) -> keras.KerasTensor:
    """Compute one row of Table 1: a block per rate; the first block has the stride."""
    for number, drop_rate in enumerate(drop_rates, start=1):
        x = _block(x, filters, stride, options, drop_rate=drop_rate, name=f"{name}_block{number}")
        stride = 1
    return endpoint(x, name)


def _cifar(depth: int, widen_factor: int, **options: Unpack[CifarOptions]) -> keras.Model:
    """Assemble Table 1, and the normalisation and activation after the last block."""
    prefix, blocks = options["prefix"], (depth - 4) // 6
    images = cifar_input(options)
    x = endpoint(conv(images, 16, 3, name=f"{prefix}stem_conv"), f"{prefix}stem")

    rates = drop_rates(options["drop_path_rate"], 3 * blocks, options["drop_path_decay"])
    for stage, (filters, stride) in enumerate([(16, 1), (32, 2), (64, 2)], start=1):
        name = f"{prefix}stage{stage}"
        x = _stage(x, widen_factor * filters, stride, options, drop_rates=islice(rates, blocks), name=name)

    x = endpoint(bn_relu(x, name=f"{prefix}top"), f"{prefix}top")
    x = classification_head(x, options, kernel_initializer=torch_dense())
    return model_of(images, x, options)


@architecture(WideResNetOptions, classes=CIFAR_CLASSES)
def WideResNet(**options: Unpack[WideResNetOptions]) -> keras.Model:
    """Wide ResNet for CIFAR's images of 32 pixels, of any depth and width (Table 1)."""
    return _cifar(**options)


@architecture(CifarOptions, classes=CIFAR_CLASSES)
def WideResNet16_4(**options: Unpack[CifarOptions]) -> keras.Model:
    """Wide ResNet-16-4 for CIFAR's images of 32 pixels: 6 blocks, 4 times as wide as ResNet's (Table 6)."""
    return _cifar(depth=16, widen_factor=4, **options)


@architecture(CifarOptions, classes=CIFAR_CLASSES)
def WideResNet16_8(**options: Unpack[CifarOptions]) -> keras.Model:
    """Wide ResNet-16-8 for CIFAR's images of 32 pixels: 6 blocks, 8 times as wide as ResNet's (Table 5)."""
    return _cifar(depth=16, widen_factor=8, **options)


@architecture(CifarOptions, classes=CIFAR_CLASSES)
def WideResNet22_8(**options: Unpack[CifarOptions]) -> keras.Model:
    """Wide ResNet-22-8 for CIFAR's images of 32 pixels: 9 blocks, 8 times as wide as ResNet's (Table 4)."""
    return _cifar(depth=22, widen_factor=8, **options)


@architecture(CifarOptions, classes=CIFAR_CLASSES)
def WideResNet28_10(**options: Unpack[CifarOptions]) -> keras.Model:
    """Wide ResNet-28-10 for CIFAR's images of 32 pixels: 12 blocks, 10 times as wide as ResNet's (Table 5)."""
    return _cifar(depth=28, widen_factor=10, **options)


@architecture(CifarOptions, classes=CIFAR_CLASSES)
def WideResNet40_2(**options: Unpack[CifarOptions]) -> keras.Model:
    """Wide ResNet-40-2 for CIFAR's images of 32 pixels: 18 blocks, 2 times as wide as ResNet's (Table 4)."""
    return _cifar(depth=40, widen_factor=2, **options)


@architecture(CifarOptions, classes=CIFAR_CLASSES)
def WideResNet40_4(**options: Unpack[CifarOptions]) -> keras.Model:
    """Wide ResNet-40-4 for CIFAR's images of 32 pixels: 18 blocks, 4 times as wide as ResNet's (Table 5)."""
    return _cifar(depth=40, widen_factor=4, **options)


@architecture(ResidualOptions)
def WideResNet50_2(**options: Unpack[ResidualOptions]) -> keras.Model:
    """Wide ResNet-50-2 for images of 224 pixels: ResNet-50, twice as wide inside its bottlenecks."""
    return residual_network(WIDE_RESNET["50-2"], **options)


@architecture(ScaledOptions)
def ScaledWideResNet50_2(**options: Unpack[ScaledOptions]) -> keras.Model:
    """Wide ResNet-50-2 at any scale: grown by compound scaling (Tan & Le 2019, section 3.3)."""
    return residual_network(WIDE_RESNET["50-2"], **options)


@architecture(ResidualOptions)
def WideResNet101_2(**options: Unpack[ResidualOptions]) -> keras.Model:
    """Wide ResNet-101-2 for images of 224 pixels: ResNet-101, twice as wide inside its bottlenecks."""
    return residual_network(WIDE_RESNET["101-2"], **options)
