"""DenseNet: Huang, Liu, van der Maaten & Weinberger, "Densely Connected Convolutional Networks" (2016).

Within a dense block, each layer sees the feature maps of all layers before it and adds a few (the growth rate k) of its
own; transitions halve height and width between blocks. "B" layers first narrow their input with a 1x1 convolution, "C"
transitions keep only a part of the channels (section 3); all networks for ImageNet do both.

In the form of Torch's networks: explicit symmetric padding, and normalisation with epsilon 1e-5 and momentum 0.9.
(keras.applications has 1.001e-5 and 0.99; its outputs are the same within rounding.)
"""

from dataclasses import dataclass, replace
from typing import Annotated, Unpack

import keras
from keras import layers

from keras_archs.cards.scaling import round_filters, round_repeats, round_size
from keras_archs.layers.endpoints import endpoint
from keras_archs.layers.heads import cifar_input, classification_head, image_input, model_of
from keras_archs.layers.options import (
    BASELINE_SIZE,
    CIFAR_CLASSES,
    ClassifierOptions,
    Option,
    Override,
    ScalingOptions,
    SeRatio,
    is_fraction,
    one_of,
)
from keras_archs.layers.recomputation import recomputed
from keras_archs.layers.squeeze_excitation import torch_squeeze_excite
from keras_archs.layers.torch_style import bn_relu, conv, max_pool, torch_dense
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
    """Number of layers in each dense block."""
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


def plain(depth: int, growth: int) -> Plan:
    """Return the plan of a DenseNet for CIFAR (section 3): the depth without stem, two transitions and classifier."""
    return Plan(growth, stem=16, blocks=((depth - 4) // 3,) * 3, bottleneck=False, compression=1.0)


def bottlenecked(depth: int, growth: int) -> Plan:
    """Return the plan of a DenseNet-BC for CIFAR: a layer has two convolutions, hence half as many layers."""
    return Plan(growth, stem=2 * growth, blocks=((depth - 4) // 6,) * 3)


CIFAR = {
    "40-12": plain(depth=40, growth=12),
    "100-12": plain(depth=100, growth=12),
    "100-24": plain(depth=100, growth=24),
    "bc-100-12": bottlenecked(depth=100, growth=12),
    "bc-250-24": bottlenecked(depth=250, growth=24),
    "bc-190-40": bottlenecked(depth=190, growth=40),
}


def grown(plan: Plan, *, width: float, depth: float) -> Plan:
    """Return a plan for ImageNet grown by compound scaling, where the width of a DenseNet is its growth rate.

    The growth rate is rounded to a multiple of 4, as all growth rates of the paper are; the stem has 2k filters.
    """
    growth = round_filters(plan.growth, width, divisor=4)
    return replace(plan, growth=growth, stem=2 * growth, blocks=tuple(round_repeats(n, depth) for n in plan.blocks))


class DenseNetOptions(ClassifierOptions, total=False):
    """Arguments of DenseNet."""

    dropout_rate: Annotated[
        float,
        Option(
            0.0,
            "Dropout after each convolution but the first; at least 0 and less than 1. The paper has 0.2 where it "
            "trains without data augmentation, and none elsewhere.",
            is_fraction,
        ),
    ]
    se_ratio: Annotated[SeRatio, Override(note="Placed after each dense block and each transition.")]
    memory_efficient: Annotated[
        bool,
        Option(
            False,
            "Whether training computes concatenations, their normalisation and the following convolution again in the "
            "backward pass instead of keeping them (Pleiss et al. 2017): same numbers, less memory, slower. True or "
            "False. ``weights`` loads a .keras file of either form.",
            one_of(True, False),
        ),
    ]


class ScaledDenseNetOptions(DenseNetOptions, ScalingOptions, total=False):
    """Arguments of DenseNet-121 at any scale."""


def _composite(
    maps: list[keras.KerasTensor],
    filters: int,
    kernel: int,
    options: DenseNetOptions,
    *,
    recompute: bool = False,
    name: str,
) -> keras.KerasTensor:
    """Apply the composite function H to all these maps (section 3): normalise and activate, then convolve."""

    def composite(maps: list[keras.KerasTensor]) -> keras.KerasTensor:
        x = layers.Concatenate(name=f"{name}_concat")(maps) if len(maps) > 1 else maps[0]
        return conv(bn_relu(x, name=name), filters, kernel, name=f"{name}_conv")

    x = recomputed(maps, composite, name=f"{name}_recomputed") if recompute else composite(maps)
    rate = options["dropout_rate"]
    return layers.Dropout(rate, name=f"{name}_dropout")(x) if rate else x


def _layer(maps: list[keras.KerasTensor], plan: Plan, options: DenseNetOptions, *, name: str) -> keras.KerasTensor:
    """Compute k feature maps from all maps before them."""
    recompute = options["memory_efficient"]
    if plan.bottleneck:
        narrow = _composite(maps, 4 * plan.growth, 1, options, recompute=recompute, name=f"{name}_bottleneck")
        # The 3x3 convolution is not recomputed, as in the paper: its input has 4k channels in every layer.
        maps, recompute = [narrow], False
    return _composite(maps, plan.growth, 3, options, recompute=recompute, name=f"{name}_growth")


def _dense_block(
    x: keras.KerasTensor, plan: Plan, depth: int, options: DenseNetOptions, *, name: str
) -> keras.KerasTensor:
    """Compute figure 1: each layer sees the block's input and the maps of all layers before it."""
    maps = [x]
    for layer in range(1, depth + 1):
        maps.append(_layer(maps, plan, options, name=f"{name}_layer{layer}"))
    x = layers.Concatenate(name=f"{name}_concat")(maps)
    return endpoint(torch_squeeze_excite(x, options["se_ratio"], name=name), name)


def _transition(x: keras.KerasTensor, plan: Plan, options: DenseNetOptions, *, name: str) -> keras.KerasTensor:
    """Keep a part of the channels, and halve height and width."""
    filters = int(x.shape[-1] * plan.compression)
    x = _composite([x], filters, 1, options, recompute=options["memory_efficient"], name=name)
    x = layers.AveragePooling2D(2, name=f"{name}_pool")(x)
    return torch_squeeze_excite(x, options["se_ratio"], name=name)


def _densenet(images: keras.KerasTensor, x: keras.KerasTensor, plan: Plan, options: DenseNetOptions) -> keras.Model:
    """Assemble dense blocks, transitions between them and the classifier, upon the stem's output ``x``."""
    prefix = options["prefix"]
    for number, depth in enumerate(plan.blocks, start=1):
        if number > 1:
            x = _transition(x, plan, options, name=f"{prefix}transition{number - 1}")
        x = _dense_block(x, plan, depth, options, name=f"{prefix}block{number}")
    x = endpoint(bn_relu(x, name=f"{prefix}top"), f"{prefix}top")
    x = classification_head(x, options, kernel_initializer=torch_dense())
    return model_of(images, x, options)


def _imagenet(
    plan: Plan,
    *,
    width: float = 1.0,
    depth: float = 1.0,
    resolution: float = 1.0,
    **options: Unpack[DenseNetOptions],
) -> keras.Model:
    """Assemble one column of Table 1."""
    plan, stem = grown(plan, width=width, depth=depth), f"{options['prefix']}stem"
    images = image_input(round_size(SIZE, resolution), options)
    x = conv(images, plan.stem, 7, 2, name=f"{stem}_conv")
    x = endpoint(bn_relu(x, name=stem), stem)
    return _densenet(images, max_pool(x, name=f"{stem}_pool"), plan, options)


def _cifar(plan: Plan, **options: Unpack[DenseNetOptions]) -> keras.Model:
    """Assemble one row of Table 2."""
    images, stem = cifar_input(options), f"{options['prefix']}stem"
    x = endpoint(conv(images, plan.stem, 3, name=f"{stem}_conv"), stem)
    return _densenet(images, x, plan, options)


@architecture(DenseNetOptions)
def DenseNet121(**options: Unpack[DenseNetOptions]) -> keras.Model:
    """DenseNet-121 for images of 224 pixels: growth rate 32 (Table 1)."""
    return _imagenet(IMAGENET["121"], **options)


@architecture(ScaledDenseNetOptions)
def ScaledDenseNet121(**options: Unpack[ScaledDenseNetOptions]) -> keras.Model:
    """DenseNet-121 at any scale: grown by compound scaling (Tan & Le 2019, section 3.3)."""
    return _imagenet(IMAGENET["121"], **options)


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
    return _cifar(CIFAR["40-12"], **options)


@architecture(DenseNetOptions, classes=CIFAR_CLASSES)
def DenseNet100_12(**options: Unpack[DenseNetOptions]) -> keras.Model:
    """DenseNet for CIFAR's images of 32 pixels: depth 100, growth rate 12 (Table 2)."""
    return _cifar(CIFAR["100-12"], **options)


@architecture(DenseNetOptions, classes=CIFAR_CLASSES)
def DenseNet100_24(**options: Unpack[DenseNetOptions]) -> keras.Model:
    """DenseNet for CIFAR's images of 32 pixels: depth 100, growth rate 24 (Table 2)."""
    return _cifar(CIFAR["100-24"], **options)


@architecture(DenseNetOptions, classes=CIFAR_CLASSES)
def DenseNetBC100_12(**options: Unpack[DenseNetOptions]) -> keras.Model:
    """DenseNet-BC for CIFAR's images of 32 pixels: depth 100, growth rate 12 (Table 2)."""
    return _cifar(CIFAR["bc-100-12"], **options)


@architecture(DenseNetOptions, classes=CIFAR_CLASSES)
def DenseNetBC250_24(**options: Unpack[DenseNetOptions]) -> keras.Model:
    """DenseNet-BC for CIFAR's images of 32 pixels: depth 250, growth rate 24 (Table 2)."""
    return _cifar(CIFAR["bc-250-24"], **options)


@architecture(DenseNetOptions, classes=CIFAR_CLASSES)
def DenseNetBC190_40(**options: Unpack[DenseNetOptions]) -> keras.Model:
    """DenseNet-BC for CIFAR's images of 32 pixels: depth 190, growth rate 40 (Table 2)."""
    return _cifar(CIFAR["bc-190-40"], **options)
