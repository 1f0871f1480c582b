"""ResNet: He et al., "Deep Residual Learning for Image Recognition" (2015).

A block computes what to add to its input (figure 2), so that a deeper network is never harder to train than a
shallower one: two 3x3 convolutions, or a bottleneck of 1x1, 3x3 and 1x1 (figure 5). Table 1 has the networks.

The default is the form of Torch's model zoo ("v1.5"), for which most published weights are: a bottleneck halves the
image in its 3x3 convolution, where the paper does so in the first 1x1 and thereby drops three pixels of four. Wide
ResNet, ResNeXt, SE-ResNet and the networks for CIFAR (`keras_archs.models.resnet_cifar`) are further plans of the same
network.
"""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Annotated, Literal, Unpack

import keras
from keras import layers

from keras_archs.cards.scaling import round_filters, round_repeats, round_size
from keras_archs.layers.endpoints import endpoint
from keras_archs.layers.heads import cifar_input, classification_head, image_input, model_of
from keras_archs.layers.options import (
    BASELINE_SIZE,
    ClassifierOptions,
    DropPathRate,
    Option,
    Override,
    ScalingOptions,
    SeRatio,
    one_of,
)
from keras_archs.layers.squeeze_excitation import torch_squeeze_excite
from keras_archs.layers.stochastic_depth import add_branch, drop_rates
from keras_archs.layers.torch_style import caffe_max_pool, conv_bn, max_pool, torch_dense
from keras_archs.models.architecture import architecture

Branch = Callable[..., keras.KerasTensor]
"""Residual branch with the signature of `bottleneck`."""


@dataclass(frozen=True)
class Plan:
    """One column of Table 1, or one depth of section 4.2, with the changes that later papers make."""

    repeats: tuple[int, ...]
    """Number of blocks in each stage: conv2_x and so on."""
    bottleneck: bool = True
    """Whether blocks are bottlenecks (figure 5, right) instead of two 3x3 convolutions (left)."""
    channels: int = 64
    """Channels of the stem, and of a basic block in the first stage; four times as many of a bottleneck's output. They
    double from stage to stage."""
    groups: int = 1
    """Groups of a bottleneck's 3x3 convolution: ResNeXt's cardinality."""
    width: int = 64
    """Channels of each of these groups in the first stage; they double from stage to stage."""
    form: Branch | None = None
    """Other form of the bottleneck; None for `bottleneck`."""
    reduction: int = 1
    """Divisor of the channels of a bottleneck's first convolution (SENet-154)."""
    stride_in_1x1: bool = False
    """Whether a bottleneck halves the image in its first 1x1 convolution (v1) instead of its 3x3 (v1.5)."""
    projection: int = 1
    """Kernel of the projections that halve the image (option B)."""
    shortcut_window: int | None = None
    """Where shapes change, the side in pixels of the averaging windows of a shortcut without parameters (option A); 1
    takes every second pixel. None for a projection (option B)."""
    deep_stem: bool = False
    """Whether the stem is three 3x3 convolutions instead of one 7x7 (SENet-154)."""
    stem_pooling: Literal["torch", "caffe"] = "torch"
    """Border of the pooling of conv2_x: "torch" on all sides, or "caffe" on the right and lower side only."""
    cifar: bool = False
    """Whether images are CIFAR's, whose size the stem keeps."""
    scale: float = 1.0
    """Factor on the channels of every layer, which are rounded to multiples of 8; for networks without groups."""

    def scaled(self, channels: int) -> int:
        """Return the channels of a layer after compound scaling."""
        return round_filters(channels, self.scale) if self.scale != 1 else channels

    def inner(self, stage: int) -> int:
        """Return the channels of the bottlenecks' 3x3 convolutions in a stage, counted from 1."""
        return self.scaled(self.groups * self.width * 2 ** (stage - 1))

    def filters(self, stage: int) -> int:
        """Return the channels of a stage's feature maps."""
        return (4 if self.bottleneck else 1) * self.scaled(self.channels * 2 ** (stage - 1))


RESNET = {
    "18": Plan(repeats=(2, 2, 2, 2), bottleneck=False),
    "34": Plan(repeats=(3, 4, 6, 3), bottleneck=False),
    "50": Plan(repeats=(3, 4, 6, 3)),
    "101": Plan(repeats=(3, 4, 23, 3)),
    "152": Plan(repeats=(3, 8, 36, 3)),
}

SIZE = BASELINE_SIZE


def grown(plan: Plan, *, width: float, depth: float) -> Plan:
    """Return a plan grown by compound scaling: the blocks of every stage, and the channels of stem and stages."""
    return replace(plan, repeats=tuple(round_repeats(count, depth) for count in plan.repeats), scale=width)


class ResidualOptions(ClassifierOptions, total=False):
    """Arguments of every residual network."""

    drop_path_rate: DropPathRate
    drop_path_decay: Annotated[
        Literal["linear", "uniform"],
        Option(
            "linear",
            'Rates of the other blocks: "linear", rising from the first block to the last (equation 4), or "uniform".',
            one_of("linear", "uniform"),
        ),
    ]
    drop_path_per: Annotated[
        Literal["image", "batch"],
        Option(
            "image",
            'Unit of stochastic depth: "image" drops the branch of single images and scales up the kept ones; '
            '"batch" drops it for the whole mini-batch without computing it, and scales it down at inference '
            "(equation 5).",
            one_of("image", "batch"),
        ),
    ]
    se_ratio: Annotated[SeRatio, Override(note="Placed at the end of each branch.")]
    zero_init_residual: Annotated[
        bool,
        Option(
            False,
            "Whether each block starts as the identity, for training with large batches: the scale of the branch's "
            "last normalisation is initialised to 0 (Goyal et al. 2017, section 5.1), or its last convolution where "
            "no normalisation follows. True or False.",
            one_of(True, False),
        ),
    ]


class BottleneckOptions(ResidualOptions, total=False):
    """Arguments of residual networks that exist as v1 and v1.5."""

    stride_in_1x1: Annotated[
        bool,
        Option(
            False,
            "Whether a bottleneck halves the image in its first 1x1 convolution, as in the paper (v1), instead of "
            "the 3x3 (v1.5); True or False.",
            one_of(True, False),
        ),
    ]


class ScaledBottleneckOptions(BottleneckOptions, ScalingOptions, total=False):
    """Arguments of ResNet-50 at any scale."""


def _stem(x: keras.KerasTensor, plan: Plan, *, name: str) -> keras.KerasTensor:
    """Apply conv1 and the pooling of conv2_x, to a quarter of height and width; for CIFAR a convolution alone."""
    channels = plan.scaled(plan.channels)
    if plan.cifar:
        return endpoint(conv_bn(x, channels, 3, name=f"{name}_conv"), name)
    if plan.deep_stem:
        for number, (filters, stride) in enumerate([(64, 2), (64, 1), (128, 1)], start=1):
            x = conv_bn(x, filters, 3, stride, name=f"{name}_conv{number}")
    else:
        x = conv_bn(x, channels, 7, 2, name=f"{name}_conv")
    pool = caffe_max_pool if plan.stem_pooling == "caffe" else max_pool
    return pool(endpoint(x, name), name=f"{name}_pool")


def _basic(x: keras.KerasTensor, plan: Plan, stage: int, stride: int, *, gamma: str, name: str) -> keras.KerasTensor:
    """Compute the branch of figure 5, left."""
    x = conv_bn(x, plan.filters(stage), 3, stride, name=f"{name}_conv1")
    return conv_bn(x, plan.filters(stage), 3, activation=None, gamma=gamma, name=f"{name}_conv2")


def bottleneck(
    x: keras.KerasTensor, plan: Plan, stage: int, stride: int, *, gamma: str, name: str
) -> keras.KerasTensor:
    """Compute the branch of figure 5, right; with groups, of ResNeXt's figure 3(c)."""
    first, second = (stride, 1) if plan.stride_in_1x1 else (1, stride)
    x = conv_bn(x, plan.inner(stage) // plan.reduction, 1, first, name=f"{name}_conv1")
    x = conv_bn(x, plan.inner(stage), 3, second, groups=plan.groups, name=f"{name}_conv2")
    return conv_bn(x, plan.filters(stage), 1, activation=None, gamma=gamma, name=f"{name}_conv3")


def _shortcut(x: keras.KerasTensor, plan: Plan, filters: int, stride: int, *, name: str) -> keras.KerasTensor:
    """Return the block's input in the shape of its branch (section 3.3)."""
    if stride == 1 and x.shape[-1] == filters:
        return x
    if plan.shortcut_window is None:  # option B
        return conv_bn(x, filters, plan.projection if stride > 1 else 1, stride, activation=None, name=name)
    # Option A. "same" rounds odd sizes up when it halves them, as the branch does.
    x = layers.AveragePooling2D(plan.shortcut_window, stride, padding="same", name=f"{name}_pool")(x)
    # "channels_first" pads the last axis, which holds the channels here.
    extra = filters - x.shape[-1]
    return layers.ZeroPadding2D(((0, 0), (0, extra)), data_format="channels_first", name=f"{name}_pad")(x)


def _block(
    x: keras.KerasTensor,
    plan: Plan,
    stage: int,
    stride: int,
    options: ResidualOptions,
    *,
    drop_rate: float,
    name: str,
) -> keras.KerasTensor:
    """Add the branch to the shortcut, then activate (figure 2)."""

    def branch(x: keras.KerasTensor) -> keras.KerasTensor:
        form = plan.form or (bottleneck if plan.bottleneck else _basic)
        gamma = "zeros" if options["zero_init_residual"] else "ones"
        x = form(x, plan, stage, stride, gamma=gamma, name=name)
        return torch_squeeze_excite(x, options["se_ratio"], name=name)

    shortcut = _shortcut(x, plan, plan.filters(stage), stride, name=f"{name}_shortcut")
    x = add_branch(shortcut, x, branch, drop_rate, per=options["drop_path_per"], name=name)
    return layers.Activation("relu", name=f"{name}_relu")(x)


def _stage(
    x: keras.KerasTensor, plan: Plan, stage: int, options: ResidualOptions, *, drop_rates: Iterable[float], name: str
) -> keras.KerasTensor:
    """Compute one row of Table 1: a block per rate; the first block halves the image, except in conv2_x."""
    for number, drop_rate in enumerate(drop_rates, start=1):
        stride = 2 if stage > 1 and number == 1 else 1
        x = _block(x, plan, stage, stride, options, drop_rate=drop_rate, name=f"{name}_block{number}")
    return endpoint(x, name)


def residual_network(
    plan: Plan,
    *,
    width: float = 1.0,
    depth: float = 1.0,
    resolution: float = 1.0,
    stride_in_1x1: bool = False,
    stem_pooling: Literal["torch", "caffe"] = "torch",
    dropout_rate: float = 0.0,
    **options: Unpack[ResidualOptions],
) -> keras.Model:
    """Assemble one column of Table 1: stem, stages and classifier."""
    plan = replace(grown(plan, width=width, depth=depth), stride_in_1x1=stride_in_1x1, stem_pooling=stem_pooling)
    images = cifar_input(options) if plan.cifar else image_input(round_size(SIZE, resolution), options)
    x = _stem(images, plan, name=f"{options['prefix']}stem")

    rates = drop_rates(options["drop_path_rate"], sum(plan.repeats), options["drop_path_decay"])
    for stage, count in enumerate(plan.repeats, start=1):
        x = _stage(x, plan, stage, options, drop_rates=islice(rates, count), name=f"{options['prefix']}stage{stage}")

    x = classification_head(x, options, dropout_rate=dropout_rate, kernel_initializer=torch_dense())
    # Keras walks through a graph recursively, two calls to a block: too many for Python's default at 600 blocks.
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 4 * sum(plan.repeats)))
    return model_of(images, x, options)


@architecture(ResidualOptions)
def ResNet18(**options: Unpack[ResidualOptions]) -> keras.Model:
    """ResNet-18 for images of 224 pixels: 8 blocks of two 3x3 convolutions (Table 1)."""
    return residual_network(RESNET["18"], **options)


@architecture(ResidualOptions)
def ResNet34(**options: Unpack[ResidualOptions]) -> keras.Model:
    """ResNet-34 for images of 224 pixels: 16 blocks of two 3x3 convolutions (Table 1)."""
    return residual_network(RESNET["34"], **options)


@architecture(BottleneckOptions)
def ResNet50(**options: Unpack[BottleneckOptions]) -> keras.Model:
    """ResNet-50 for images of 224 pixels: 16 bottlenecks (Table 1)."""
    return residual_network(RESNET["50"], **options)


@architecture(ScaledBottleneckOptions)
def ScaledResNet50(**options: Unpack[ScaledBottleneckOptions]) -> keras.Model:
    """ResNet-50 at any scale: grown by compound scaling (Tan & Le 2019, section 5.1)."""
    return residual_network(RESNET["50"], **options)


@architecture(BottleneckOptions)
def ResNet101(**options: Unpack[BottleneckOptions]) -> keras.Model:
    """ResNet-101 for images of 224 pixels: 33 bottlenecks (Table 1)."""
    return residual_network(RESNET["101"], **options)


@architecture(BottleneckOptions)
def ResNet152(**options: Unpack[BottleneckOptions]) -> keras.Model:
    """ResNet-152 for images of 224 pixels: 50 bottlenecks (Table 1)."""
    return residual_network(RESNET["152"], **options)
