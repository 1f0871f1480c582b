"""DenseNet: Huang, Liu, van der Maaten & Weinberger, "Densely Connected Convolutional Networks" (2016).

Within a dense block, each layer sees the feature maps of all layers before it and adds a few (the growth rate k)
of its own; transitions halve height and width between blocks. "B" layers first narrow what they see with a 1x1
convolution, "C" transitions keep only a part of the channels (section 3); all networks for ImageNet do both.

The lineage is Torch's: explicit symmetric padding, and normalisation with epsilon 1e-5 and momentum 0.9.
(keras.applications has 1.001e-5 and 0.99; its answers are the same within rounding.)
"""

from dataclasses import dataclass, replace
from typing import Annotated, Unpack

import keras
from keras import layers

from keras_archs.cards.scaling import round_filters, round_repeats, round_size
from keras_archs.layers.heads import cifar_input, classification_head, image_input, model_of
from keras_archs.layers.options import (
    BASELINE_SIZE,
    CIFAR_CLASSES,
    ClassifierOptions,
    Option,
    ScalingOptions,
    is_fraction,
    is_ratio_or_none,
    one_of,
)
from keras_archs.layers.recomputation import recomputed
from keras_archs.layers.squeeze_excitation import torch_squeeze_excite
from keras_archs.layers.torch_style import symmetric_conv, symmetric_max_pool, torch_bn_relu, torch_dense
from keras_archs.models.architecture import architecture

SIZE = BASELINE_SIZE


@dataclass(frozen=True)
class Plan:
    """One column of Table 1, or one row of Table 2."""

    growth: int
    """Feature maps that each layer adds: k."""
    stem: int
    """Filters of the first convolution."""
    blocks: tuple[int, ...]
    """Layers in each dense block."""
    bottleneck: bool = True
    """Whether a layer begins with a 1x1 convolution to 4k channels."""
    compression: float = 0.5
    """Part of the channels that a transition keeps: theta."""


IMAGENET = {
    "121": Plan(growth=32, stem=64, blocks=(6, 12, 24, 16)),
    "161": Plan(growth=48, stem=96, blocks=(6, 12, 36, 24)),
    "169": Plan(growth=32, stem=64, blocks=(6, 12, 32, 32)),
    "201": Plan(growth=32, stem=64, blocks=(6, 12, 48, 32)),
    "264": Plan(growth=32, stem=64, blocks=(6, 12, 64, 48)),
}


def grown(plan: Plan, *, width: float, depth: float) -> Plan:
    """Grow a network for ImageNet by compound scaling, where the width of a DenseNet is its growth rate.

    It is rounded to a multiple of 4, as all growth rates of the paper are; the first convolution makes 2k feature maps.
    """
    growth = round_filters(plan.growth, width, divisor=4)
    return replace(plan, growth=growth, stem=2 * growth, blocks=tuple(round_repeats(n, depth) for n in plan.blocks))


def plain(depth: int, growth: int) -> Plan:
    """DenseNet for CIFAR (section 3): what the blocks do not have of the depth is stem, transitions and classifier."""
    return Plan(growth, stem=16, blocks=((depth - 4) // 3,) * 3, bottleneck=False, compression=1.0)


def bottlenecked(depth: int, growth: int) -> Plan:
    """DenseNet-BC for CIFAR: two convolutions to a layer, hence half as many layers."""
    return Plan(growth, stem=2 * growth, blocks=((depth - 4) // 6,) * 3)


CIFAR = {
    "40-12": plain(depth=40, growth=12),
    "100-12": plain(depth=100, growth=12),
    "100-24": plain(depth=100, growth=24),
    "bc-100-12": bottlenecked(depth=100, growth=12),
    "bc-250-24": bottlenecked(depth=250, growth=24),
    "bc-190-40": bottlenecked(depth=190, growth=40),
}


class DenseNetOptions(ClassifierOptions, total=False):
    """The arguments of DenseNet."""

    dropout_rate: Annotated[
        float,
        Option(
            0.0,
            "Dropout after each convolution but the first; at least 0 and less than 1. The paper has 0.2 where it "
            "trains without data augmentation, and none elsewhere.",
            is_fraction,
        ),
    ]
    se_ratio: Annotated[
        float | None,
        Option(
            None,
            "Channels inside squeeze-and-excitation after each dense block and each transition, relative to those "
            "that it scales; positive, or 0 or None for none, as published.",
            is_ratio_or_none,
        ),
    ]
    memory_efficient: Annotated[
        bool,
        Option(
            False,
            "Whether training computes concatenations, their normalisation and the convolution after it again in the "
            "backward pass instead of keeping them (Pleiss et al. 2017), which changes no number; True or False. "
            "A .keras file of one form loads into the other by ``weights``.",
            one_of(True, False),
        ),
    ]


class ScaledDenseNetOptions(DenseNetOptions, ScalingOptions, total=False):
    """The arguments of DenseNet-121 at any scale."""


def _composite(
    maps: list[keras.KerasTensor],
    filters: int,
    kernel: int,
    options: DenseNetOptions,
    *,
    recompute: bool = False,
    name: str,
) -> keras.KerasTensor:
    """Composite function of all these maps (section 3): normalisation and activation before the convolution."""

    def compute(maps: list[keras.KerasTensor]) -> keras.KerasTensor:
        x = layers.Concatenate(name=f"{name}_concat")(maps) if len(maps) > 1 else maps[0]
        return symmetric_conv(torch_bn_relu(x, name=name), filters, kernel, name=f"{name}_conv")

    x = recomputed(maps, compute, name=f"{name}_recomputed") if recompute else compute(maps)
    rate = options["dropout_rate"]
    return layers.Dropout(rate, name=f"{name}_dropout")(x) if rate else x


def _layer(maps: list[keras.KerasTensor], plan: Plan, options: DenseNetOptions, *, name: str) -> keras.KerasTensor:
    """Make k feature maps of those there are."""
    recompute = options["memory_efficient"]
    if plan.bottleneck:
        narrow = _composite(maps, 4 * plan.growth, 1, options, recompute=recompute, name=f"{name}_bottleneck")
        # As in the paper, this one's results are kept: they are as few for the last layer as for the first.
        maps, recompute = [narrow], False
    return _composite(maps, plan.growth, 3, options, recompute=recompute, name=f"{name}_growth")


def _dense_block(
    x: keras.KerasTensor, plan: Plan, depth: int, options: DenseNetOptions, *, name: str
) -> keras.KerasTensor:
    """Figure 1: each layer sees the output of all before it."""
    maps = [x]
    for layer in range(1, depth + 1):
        maps.append(_layer(maps, plan, options, name=f"{name}_layer{layer}"))
    x = layers.Concatenate(name=f"{name}_concat")(maps)
    return torch_squeeze_excite(x, options["se_ratio"], name=name)


def _transition(x: keras.KerasTensor, plan: Plan, options: DenseNetOptions, *, name: str) -> keras.KerasTensor:
    """Keep a part of the channels, and halve height and width."""
    filters = int(x.shape[-1] * plan.compression)
    x = _composite([x], filters, 1, options, recompute=options["memory_efficient"], name=name)
    x = layers.AveragePooling2D(2, name=f"{name}_pool")(x)
    return torch_squeeze_excite(x, options["se_ratio"], name=name)


def _imagenet_stem(x: keras.KerasTensor, filters: int, *, name: str) -> keras.KerasTensor:
    x = symmetric_conv(x, filters, 7, stride=2, name=f"{name}_conv")
    x = torch_bn_relu(x, name=name)
    return symmetric_max_pool(x, name=f"{name}_pool")


def _densenet(images: keras.KerasTensor, x: keras.KerasTensor, plan: Plan, options: DenseNetOptions) -> keras.Model:
    """Dense blocks with transitions between them, and the head, upon the stem's output ``x``."""
    prefix = options["prefix"]
    for number, depth in enumerate(plan.blocks, start=1):
        if number > 1:
            x = _transition(x, plan, options, name=f"{prefix}transition{number - 1}")
        x = _dense_block(x, plan, depth, options, name=f"{prefix}block{number}")
    x = torch_bn_relu(x, name=f"{prefix}top")
    x = classification_head(x, options, kernel_initializer=torch_dense())
    return model_of(images, x, options)


def _imagenet(plan: Plan, size: int = SIZE, **options: Unpack[DenseNetOptions]) -> keras.Model:
    images = image_input(size, options)
    return _densenet(images, _imagenet_stem(images, plan.stem, name=f"{options['prefix']}stem"), plan, options)


def _cifar(variant: str, **options: Unpack[DenseNetOptions]) -> keras.Model:
    plan = CIFAR[variant]
    images = cifar_input(options)
    return _densenet(images, symmetric_conv(images, plan.stem, 3, name=f"{options['prefix']}stem_conv"), plan, options)


@architecture(DenseNetOptions)
def DenseNet121(**options: Unpack[DenseNetOptions]) -> keras.Model:
    """DenseNet-121 for images of 224 pixels: growth rate 32 (Table 1)."""
    return _imagenet(IMAGENET["121"], **options)


def _at_scale(*, width: float, depth: float, resolution: float, **options: Unpack[DenseNetOptions]) -> keras.Model:
    plan = grown(IMAGENET["121"], width=width, depth=depth)
    return _imagenet(plan, round_size(SIZE, resolution), **options)


@architecture(ScaledDenseNetOptions)
def ScaledDenseNet121(**options: Unpack[ScaledDenseNetOptions]) -> keras.Model:
    """DenseNet-121 at any scale: grown by compound scaling (Tan & Le 2019, section 3.3)."""
    return _at_scale(**options)


@architecture(DenseNetOptions)
def DenseNet161(**options: Unpack[DenseNetOptions]) -> keras.Model:
    """DenseNet-161 for images of 224 pixels: growth rate 48 (authors' code)."""
    return _imagenet(IMAGENET["161"], **options)


@architecture(DenseNetOptions)
def DenseNet169(**options: Unpack[DenseNetOptions]) -> keras.Model:
    """DenseNet-169 for images of 224 pixels: growth rate 32 (Table 1)."""
    return _imagenet(IMAGENET["169"], **options)


@architecture(DenseNetOptions)
def DenseNet201(**options: Unpack[DenseNetOptions]) -> keras.Model:
    """DenseNet-201 for images of 224 pixels: growth rate 32 (Table 1)."""
    return _imagenet(IMAGENET["201"], **options)


@architecture(DenseNetOptions)
def DenseNet264(**options: Unpack[DenseNetOptions]) -> keras.Model:
    """DenseNet-264 for images of 224 pixels: growth rate 32 (Table 1)."""
    return _imagenet(IMAGENET["264"], **options)


@architecture(DenseNetOptions, se_ratio=1 / 16)
def SEDenseNet121(**options: Unpack[DenseNetOptions]) -> keras.Model:
    """SE-DenseNet-121 for images of 224 pixels: DenseNet-121 with squeeze-and-excitation after blocks and transitions.

    No paper has it; with r = 16, as in all networks of Hu et al. 2017.
    """
    return _imagenet(IMAGENET["121"], **options)


@architecture(DenseNetOptions, classes=CIFAR_CLASSES)
def DenseNet40_12(**options: Unpack[DenseNetOptions]) -> keras.Model:
    """DenseNet for CIFAR's images of 32 pixels: depth 40, growth rate 12 (Table 2)."""
    return _cifar("40-12", **options)


@architecture(DenseNetOptions, classes=CIFAR_CLASSES)
def DenseNet100_12(**options: Unpack[DenseNetOptions]) -> keras.Model:
    """DenseNet for CIFAR's images of 32 pixels: depth 100, growth rate 12 (Table 2)."""
    return _cifar("100-12", **options)


@architecture(DenseNetOptions, classes=CIFAR_CLASSES)
def DenseNet100_24(**options: Unpack[DenseNetOptions]) -> keras.Model:
    """DenseNet for CIFAR's images of 32 pixels: depth 100, growth rate 24 (Table 2)."""
    return _cifar("100-24", **options)


@architecture(DenseNetOptions, classes=CIFAR_CLASSES)
def DenseNetBC100_12(**options: Unpack[DenseNetOptions]) -> keras.Model:
    """DenseNet-BC for CIFAR's images of 32 pixels: depth 100, growth rate 12 (Table 2)."""
    return _cifar("bc-100-12", **options)


@architecture(DenseNetOptions, classes=CIFAR_CLASSES)
def DenseNetBC250_24(**options: Unpack[DenseNetOptions]) -> keras.Model:
    """DenseNet-BC for CIFAR's images of 32 pixels: depth 250, growth rate 24 (Table 2)."""
    return _cifar("bc-250-24", **options)


@architecture(DenseNetOptions, classes=CIFAR_CLASSES)
def DenseNetBC190_40(**options: Unpack[DenseNetOptions]) -> keras.Model:
    """DenseNet-BC for CIFAR's images of 32 pixels: depth 190, growth rate 40 (Table 2)."""
    return _cifar("bc-190-40", **options)
