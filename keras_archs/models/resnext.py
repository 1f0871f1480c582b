"""ResNeXt: Xie et al., "Aggregated Residual Transformations for Deep Neural Networks" (2016).

A third dimension beside depth and width: a block sums many thin transformations of one topology, and their number is
its cardinality; "32x4d" is a cardinality of 32 with 4 channels each in conv2 (Tables 1 and 2). Figure 3 has three
forms of the block that compute the same: (a) split, transform and merge, (b) early concatenation, (c) a grouped 3x3
convolution inside ResNet's bottleneck. (c) is the fast one; (a) and (b) are for study.

The networks for CIFAR have three stages of three blocks (section 5.3). The paper normalises and activates before
their convolutions; here they have the blocks of the ImageNet networks, which the authors' code found to be better.
"""

from dataclasses import replace
from typing import Annotated, Literal, Unpack

import keras
from keras import layers

from keras_archs.layers.options import CIFAR_CLASSES, Option, one_of
from keras_archs.layers.torch_style import bn, conv, conv_bn
from keras_archs.models.architecture import architecture
from keras_archs.models.resnet import RESNET, Branch, Plan, ResidualOptions, bottleneck, residual_network

RESNEXT = {
    "50-32x4d": replace(RESNET["50"], groups=32, width=4),
    "101-32x4d": replace(RESNET["101"], groups=32, width=4),
    "101-32x8d": replace(RESNET["101"], groups=32, width=8),
    "101-64x4d": replace(RESNET["101"], groups=64, width=4),
    "29-8x64d": Plan(repeats=(3, 3, 3), groups=8, width=64, cifar=True),
    "29-16x64d": Plan(repeats=(3, 3, 3), groups=16, width=64, cifar=True),
}


class ResNeXtOptions(ResidualOptions, total=False):
    """Arguments of ResNeXt."""

    block_form: Annotated[
        Literal["split", "concatenated", "grouped"],
        Option(
            "grouped",
            'Form of the block (figure 3): (a) "split", (b) "concatenated" or (c) "grouped". All compute the same '
            "result from the same weights, which (a) and (b) hold in a kernel per path.",
            one_of("split", "concatenated", "grouped"),
        ),
    ]


def _paths(
    x: keras.KerasTensor, plan: Plan, stage: int, stride: int, *, name: str
) -> list[tuple[str, keras.KerasTensor]]:
    """Compute the thin 1x1 and 3x3 convolutions of each path; return the paths' names and feature maps."""
    width, paths = plan.inner(stage) // plan.groups, []
    for number in range(1, plan.groups + 1):
        path = f"{name}_path{number}"
        y = conv_bn(x, width, 1, name=f"{path}_conv1")
        paths.append((path, conv_bn(y, width, 3, stride, name=f"{path}_conv2")))
    return paths


def _split(x: keras.KerasTensor, plan: Plan, stage: int, stride: int, *, gamma: str, name: str) -> keras.KerasTensor:
    """Compute the branch of figure 3(a): each path ends in its own 1x1 convolution, and the results are summed."""
    paths = _paths(x, plan, stage, stride, name=name)
    ends = [conv(y, plan.filters(stage), 1, name=f"{path}_conv3") for path, y in paths]
    return bn(layers.Add(name=f"{name}_merge")(ends), gamma=gamma, name=f"{name}_conv3_bn")


def _concatenated(
    x: keras.KerasTensor, plan: Plan, stage: int, stride: int, *, gamma: str, name: str
) -> keras.KerasTensor:
    """Compute the branch of figure 3(b): the paths are concatenated and end in one common 1x1 convolution."""
    paths = _paths(x, plan, stage, stride, name=name)
    x = layers.Concatenate(name=f"{name}_merge")([y for _, y in paths])
    return conv_bn(x, plan.filters(stage), 1, activation=None, gamma=gamma, name=f"{name}_conv3")


FORMS: dict[str, Branch] = {"split": _split, "concatenated": _concatenated, "grouped": bottleneck}


def resnext(
    variant: str,
    *,
    block_form: str = "grouped",
    stem_pooling: Literal["torch", "caffe"] = "torch",
    **options: Unpack[ResidualOptions],
) -> keras.Model:
    """Assemble a variant of ResNeXt or, with ``se_ratio``, of SE-ResNeXt."""
    return residual_network(replace(RESNEXT[variant], form=FORMS[block_form]), stem_pooling=stem_pooling, **options)


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
