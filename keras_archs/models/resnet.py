"""ResNet: He et al., "Deep Residual Learning for Image Recognition" (2015).

A block computes what to add to its input (figure 2), so that a deeper network is never harder to train than a
shallower one: two 3x3 convolutions, or a bottleneck of 1x1, 3x3 and 1x1 (figure 5). Table 1 has the networks.

In the form of Torch's model zoo ("v1.5"), which everybody's weights have since: a bottleneck halves the image in
its 3x3 convolution, where the paper does so in the first 1x1 and thereby drops three pixels of four. The builder
is shared by the families that vary the bottleneck only, Wide ResNet, ResNeXt and SE-ResNet, and by the thin networks
for CIFAR (`keras_archs.models.resnet_cifar`).
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Literal, Unpack

import keras
from keras import layers

from keras_archs.cards.scaling import round_filters, round_repeats, round_size
from keras_archs.layers.heads import cifar_input, classification_head, image_input, model_of
from keras_archs.layers.options import (
    BASELINE_SIZE,
    ClassifierOptions,
    Option,
    ScalingOptions,
    is_fraction,
    is_ratio_or_none,
    one_of,
)
from keras_archs.layers.squeeze_excitation import torch_squeeze_excite
from keras_archs.layers.stochastic_depth import add_branch, drop_rates
from keras_archs.layers.torch_style import symmetric_conv, symmetric_max_pool, torch_bn, torch_dense
from keras_archs.models.architecture import architecture


@dataclass(frozen=True)
class Plan:
    """One column of Table 1, or one depth of section 4.2, and what later papers vary in them."""

    repeats: tuple[int, ...]
    """Blocks in each stage: conv2_x and so on."""
    bottleneck: bool = True
    channels: int = 64
    """Channels of the stem, and of a plain bottleneck's or a basic block's 3x3 convolutions in the first stage."""
    groups: int = 1
    """Groups of a bottleneck's 3x3 convolution: ResNeXt's cardinality."""
    width: int = 64
    """Channels of each group in conv2_x; they double from stage to stage."""
    projection: int = 1
    """Kernel of the shortcuts that halve the image (option B)."""
    deep_stem: bool = False
    """Whether the stem is three 3x3 convolutions instead of one 7x7."""
    cifar: bool = False
    """Whether images are CIFAR's, whose size the stem keeps."""
    shortcut_window: int | None = None
    """Where shapes change, a shortcut without parameters (option A) takes the mean of windows of so many pixels a
    side: 1 is every second pixel. None for a projection (option B)."""
    scale: float = 1.0
    """Factor on the channels of every layer, which are rounded to multiples of 8; for networks without groups."""

    def scaled(self, channels: int) -> int:
        """Grow a layer's channels."""
        return round_filters(channels, self.scale) if self.scale != 1 else channels


RESNET = {
    "18": Plan(repeats=(2, 2, 2, 2), bottleneck=False),
    "34": Plan(repeats=(3, 4, 6, 3), bottleneck=False),
    "50": Plan(repeats=(3, 4, 6, 3)),
    "101": Plan(repeats=(3, 4, 23, 3)),
    "152": Plan(repeats=(3, 8, 36, 3)),
}

SIZE = BASELINE_SIZE


def grown(plan: Plan, *, width: float, depth: float) -> Plan:
    """Grow a network by compound scaling: every stage, and the channels of the stem with those of the stages."""
    return replace(plan, repeats=tuple(round_repeats(count, depth) for count in plan.repeats), scale=width)


class ResidualOptions(ClassifierOptions, total=False):
    """The arguments of every residual network."""

    drop_path_rate: Annotated[
        float,
        Option(
            0.0,
            "Stochastic depth (Huang et al. 2016): the rate at which the last block's branch is dropped in training; "
            "at least 0 and less than 1.",
            is_fraction,
        ),
    ]
    drop_path_decay: Annotated[
        Literal["linear", "uniform"],
        Option(
            "linear",
            'How the other blocks\' rates follow: "linear", rising from the first block to the last (equation 4), or '
            '"uniform".',
            one_of("linear", "uniform"),
        ),
    ]
    drop_path_per: Annotated[
        Literal["image", "batch"],
        Option(
            "image",
            'What is dropped: the branch of single images, the others\' scaled up, "image"; or for the whole '
            'mini-batch, without computing it, and scaled down after training (equation 5), "batch".',
            one_of("image", "batch"),
        ),
    ]
    se_ratio: Annotated[
        float | None,
        Option(
            None,
            "Channels inside squeeze-and-excitation, relative to those that the block returns; positive, or 0 "
            "or None for none.",
            is_ratio_or_none,
        ),
    ]
    zero_init_residual: Annotated[
        bool,
        Option(
            False,
            "Whether each block starts as the identity, its last normalisation's scale being 0 (Goyal et al. 2017, "
            "section 5.1) or, where a convolution is last, that; for training with large batches. True or False.",
            one_of(True, False),
        ),
    ]


class BottleneckOptions(ResidualOptions, total=False):
    """The arguments of residual networks that exist in two forms."""

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
    """The arguments of ResNet-50 at any scale."""


def conv_bn(
    x: keras.KerasTensor,
    filters: int,
    kernel: int,
    stride: int = 1,
    *,
    groups: int = 1,
    activation: str | None = "relu",
    gamma: str = "ones",
    name: str,
) -> keras.KerasTensor:
    """Convolution, normalisation and (where there is one) activation."""
    x = symmetric_conv(x, filters, kernel, stride, groups=groups, name=name)
    x = torch_bn(x, gamma=gamma, name=f"{name}_bn")
    return layers.Activation(activation, name=f"{name}_{activation}")(x) if activation else x


def _basic(x: keras.KerasTensor, filters: int, stride: int, *, gamma: str, name: str) -> keras.KerasTensor:
    """Figure 5, left."""
    x = conv_bn(x, filters, 3, stride, name=f"{name}_conv1")
    return conv_bn(x, filters, 3, activation=None, gamma=gamma, name=f"{name}_conv2")


def bottleneck(
    x: keras.KerasTensor,
    inner: int,
    filters: int,
    stride: int,
    *,
    groups: int,
    reduction: int = 1,
    gamma: str,
    stride_in_1x1: bool = False,
    name: str,
) -> keras.KerasTensor:
    """Figure 5, right; with groups, figure 3(c) of ResNeXt; a reduction thins the first convolution (SENet-154)."""
    first, second = (stride, 1) if stride_in_1x1 else (1, stride)
    x = conv_bn(x, inner // reduction, 1, first, name=f"{name}_conv1")
    x = conv_bn(x, inner, 3, second, groups=groups, name=f"{name}_conv2")
    return conv_bn(x, filters, 1, activation=None, gamma=gamma, name=f"{name}_conv3")


def _shortcut(x: keras.KerasTensor, plan: Plan, filters: int, stride: int, *, name: str) -> keras.KerasTensor:
    """What the branch is added to where shapes change (section 3.3)."""
    window = plan.shortcut_window
    if window is None:
        return conv_bn(x, filters, plan.projection if stride > 1 else 1, stride, activation=None, name=name)
    # "same" rounds odd sizes up when it halves them, as the branch does.
    x = layers.AveragePooling2D(window, stride, padding="same", name=f"{name}_pool")(x)
    # Zeros in the last axis, which is a width with channels first, but holds the channels here.
    extra = filters - x.shape[-1]
    return layers.ZeroPadding2D(((0, 0), (0, extra)), data_format="channels_first", name=f"{name}_pad")(x)


def _block(
    x: keras.KerasTensor,
    plan: Plan,
    stage: int,
    stride: int,
    options: ResidualOptions,
    *,
    transform: Callable[..., keras.KerasTensor],
    drop_rate: float,
    name: str,
) -> keras.KerasTensor:
    """Add to the input what the branch computes."""
    growth = 2 ** (stage - 1)
    filters = (4 if plan.bottleneck else 1) * plan.scaled(plan.channels * growth)
    gamma = "zeros" if options["zero_init_residual"] else "ones"

    def branch(x: keras.KerasTensor) -> keras.KerasTensor:
        if plan.bottleneck:
            inner = plan.scaled(plan.groups * plan.width * growth)
            x = transform(x, inner, filters, stride, groups=plan.groups, gamma=gamma, name=name)
        else:
            x = _basic(x, filters, stride, gamma=gamma, name=name)
        return torch_squeeze_excite(x, options["se_ratio"], name=name)

    shortcut = x
    if stride > 1 or x.shape[-1] != filters:
        shortcut = _shortcut(x, plan, filters, stride, name=f"{name}_shortcut")
    x = add_branch(shortcut, x, branch, drop_rate, per=options["drop_path_per"], name=name)
    return layers.Activation("relu", name=f"{name}_relu")(x)


def _stem(x: keras.KerasTensor, plan: Plan, *, name: str) -> keras.KerasTensor:
    """A quarter of height and width for ImageNet: conv1 and the pooling of conv2_x; for CIFAR, a convolution alone."""
    channels = plan.scaled(plan.channels)
    if plan.cifar:
        return conv_bn(x, channels, 3, name=f"{name}_conv")
    if plan.deep_stem:
        for number, (filters, stride) in enumerate([(64, 2), (64, 1), (128, 1)], start=1):
            x = conv_bn(x, filters, 3, stride, name=f"{name}_conv{number}")
    else:
        x = conv_bn(x, channels, 7, 2, name=f"{name}_conv")
    return symmetric_max_pool(x, name=f"{name}_pool")


def numbered_blocks(repeats: Sequence[int], options: ResidualOptions) -> Iterator[tuple[int, int, float, str]]:
    """Yield stage, stride, rate of stochastic depth and name of each block; stages but the first halve the image."""
    rates = drop_rates(options["drop_path_rate"], sum(repeats), options["drop_path_decay"])
    for stage, count in enumerate(repeats, start=1):
        for block in range(1, count + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            yield stage, stride, next(rates), f"{options['prefix']}stage{stage}_block{block}"


def residual_network(
    plan: Plan,
    *,
    size: int = SIZE,
    transform: Callable[..., keras.KerasTensor] = bottleneck,
    stride_in_1x1: bool = False,
    dropout_rate: float = 0.0,
    **options: Unpack[ResidualOptions],
) -> keras.Model:
    """Stem, stages, head: the rows of Table 1; ``transform`` is the form of the bottlenecks."""
    if stride_in_1x1:
        transform = partial(transform, stride_in_1x1=True)
    prefix = options["prefix"]
    images = cifar_input(options) if plan.cifar else image_input(size, options)
    x = _stem(images, plan, name=f"{prefix}stem")

    for stage, stride, drop_rate, name in numbered_blocks(plan.repeats, options):
        x = _block(x, plan, stage, stride, options, transform=transform, drop_rate=drop_rate, name=name)

    x = classification_head(x, options, dropout_rate=dropout_rate, kernel_initializer=torch_dense())
    # Keras walks through a graph recursively, two calls to a block: too many for Python's default at 600 blocks.
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 4 * sum(plan.repeats)))
    return model_of(images, x, options)


def at_scale(
    plan: Plan,
    *,
    width: float,
    depth: float,
    resolution: float,
    stride_in_1x1: bool = False,
    **options: Unpack[ResidualOptions],
) -> keras.Model:
    """The network of a plan that compound scaling has grown."""
    return residual_network(
        grown(plan, width=width, depth=depth),
        size=round_size(SIZE, resolution),
        stride_in_1x1=stride_in_1x1,
        **options,
    )


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
    return at_scale(RESNET["50"], **options)


@architecture(BottleneckOptions)
def ResNet101(**options: Unpack[BottleneckOptions]) -> keras.Model:
    """ResNet-101 for images of 224 pixels: 33 bottlenecks (Table 1)."""
    return residual_network(RESNET["101"], **options)


@architecture(BottleneckOptions)
def ResNet152(**options: Unpack[BottleneckOptions]) -> keras.Model:
    """ResNet-152 for images of 224 pixels: 50 bottlenecks (Table 1)."""
    return residual_network(RESNET["152"], **options)
