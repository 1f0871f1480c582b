"""ResNeXt: Xie et al., "Aggregated Residual Transformations for Deep Neural Networks" (2016).

A third dimension beside depth and width: a block sums many thin transformations of one topology, their number
being its cardinality; "32x4d" is a cardinality of 32 with 4 channels each in conv2 (Tables 1 and 2). Figure 3 has three
forms of the block that compute the same: (a) split, transform and merge, (b) early concatenation, (c) a grouped 3x3
convolution inside ResNet's bottleneck. The last is the one to use; the others are there to be understood.

The networks for CIFAR have three stages of three blocks (section 5.3). The paper normalises and activates before
their convolutions; these have the blocks of the ImageNet networks, which the authors' code found to be better.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Literal, Unpack

import keras
from keras import layers

from keras_archs.layers.options import CIFAR_CLASSES, Option, one_of
from keras_archs.layers.torch_style import symmetric_conv, torch_bn
from keras_archs.models.architecture import architecture
from keras_archs.models.resnet import RESNET, Plan, ResidualOptions, bottleneck, conv_bn, residual_network

RESNEXT = {
    "50-32x4d": replace(RESNET["50"], groups=32, width=4),
    "101-32x4d": replace(RESNET["101"], groups=32, width=4),
    "101-32x8d": replace(RESNET["101"], groups=32, width=8),
    "101-64x4d": replace(RESNET["101"], groups=64, width=4),
    "29-8x64d": Plan(repeats=(3, 3, 3), groups=8, width=64, cifar=True),
    "29-16x64d": Plan(repeats=(3, 3, 3), groups=16, width=64, cifar=True),
}


class ResNeXtOptions(ResidualOptions, total=False):
    """The arguments of ResNeXt."""

    block_form: Annotated[
        Literal["split", "concatenated", "grouped"],
        Option(
            "grouped",
            "Form of the block (figure 3), with the same weights, cut otherwise, and the same result: (a) "
            '"split", (b) "concatenated", (c) "grouped".',
            one_of("split", "concatenated", "grouped"),
        ),
    ]


def _paths(
    x: keras.KerasTensor, inner: int, stride: int, *, groups: int, name: str
) -> list[tuple[str, keras.KerasTensor]]:
    """The thin 1x1 and 3x3 convolutions of each path."""
    width, paths = inner // groups, []
    for number in range(1, groups + 1):
        path = f"{name}_path{number}"
        y = conv_bn(x, width, 1, name=f"{path}_conv1")
        paths.append((path, conv_bn(y, width, 3, stride, name=f"{path}_conv2")))
    return paths


def split(
    x: keras.KerasTensor, inner: int, filters: int, stride: int, *, groups: int, gamma: str, name: str
) -> keras.KerasTensor:
    """Figure 3(a): each path has a 1x1 convolution of its own at its end, and their results are summed."""
    paths = _paths(x, inner, stride, groups=groups, name=name)
    ends = [symmetric_conv(y, filters, 1, name=f"{path}_conv3") for path, y in paths]
    return torch_bn(layers.Add(name=f"{name}_merge")(ends), gamma=gamma, name=f"{name}_conv3_bn")


def concatenated(
    x: keras.KerasTensor, inner: int, filters: int, stride: int, *, groups: int, gamma: str, name: str
) -> keras.KerasTensor:
    """Figure 3(b): the paths are concatenated, and one 1x1 convolution ends them all."""
    paths = _paths(x, inner, stride, groups=groups, name=name)
    x = layers.Concatenate(name=f"{name}_merge")([y for _, y in paths])
    return conv_bn(x, filters, 1, activation=None, gamma=gamma, name=f"{name}_conv3")


FORMS: dict[str, Callable[..., keras.KerasTensor]] = {
    "split": split,
    "concatenated": concatenated,
    "grouped": bottleneck,
}


def resnext(variant: str, *, block_form: str = "grouped", **options: Unpack[ResidualOptions]) -> keras.Model:
    """Assemble a variant; SE-ResNeXt is made of it, too."""
    return residual_network(RESNEXT[variant], transform=FORMS[block_form], **options)


@architecture(ResNeXtOptions)
def ResNeXt50_32x4d(**options: Unpack[ResNeXtOptions]) -> keras.Model:
    """ResNeXt-50 for images of 224 pixels: cardinality 32, 4 channels each (Table 1)."""
    return resnext("50-32x4d", **options)


@architecture(ResNeXtOptions)
def ResNeXt101_32x4d(**options: Unpack[ResNeXtOptions]) -> keras.Model:
    """ResNeXt-101 for images of 224 pixels: cardinality 32, 4 channels each, as costly as ResNet-101 (Table 3)."""
    return resnext("101-32x4d", **options)


@architecture(ResNeXtOptions)
def ResNeXt101_32x8d(**options: Unpack[ResNeXtOptions]) -> keras.Model:
    """ResNeXt-101 for images of 224 pixels: cardinality 32, 8 channels each, twice as costly."""
    return resnext("101-32x8d", **options)


@architecture(ResNeXtOptions)
def ResNeXt101_64x4d(**options: Unpack[ResNeXtOptions]) -> keras.Model:
    """ResNeXt-101 for images of 224 pixels: cardinality 64, 4 channels each, twice as costly (Table 4)."""
    return resnext("101-64x4d", **options)


@architecture(ResNeXtOptions, classes=CIFAR_CLASSES)
def ResNeXt29_8x64d(**options: Unpack[ResNeXtOptions]) -> keras.Model:
    """ResNeXt-29 for CIFAR's images of 32 pixels: cardinality 8, 64 channels each (Table 7)."""
    return resnext("29-8x64d", **options)


@architecture(ResNeXtOptions, classes=CIFAR_CLASSES)
def ResNeXt29_16x64d(**options: Unpack[ResNeXtOptions]) -> keras.Model:
    """ResNeXt-29 for CIFAR's images of 32 pixels: cardinality 16, 64 channels each (Table 7)."""
    return resnext("29-16x64d", **options)
