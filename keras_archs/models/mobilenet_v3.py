"""MobileNetV3: Howard et al., "Searching for MobileNetV3" (2019).

The inverted residuals of MobileNetV2, with widths and kernels found by search, squeeze-and-excitation with a
piecewise linear gate in some of them, and h-swish in the deeper half (section 5). The last stage pools before its
widest layer instead of after it (section 5.1, figure 5).

Minimalistic networks do without what some accelerators dislike: squeeze-and-excitation, h-swish and 5x5 filters.
Constants that the paper does not print are TF-slim's, the authors' implementation. keras.applications, whose numbers
these are, scales the input itself, keeps the stem at 16 channels for every alpha, and has other initialisation.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Unpack

import keras
from keras import layers

from keras_archs.cards.scaling import round_filters
from keras_archs.layers.heads import classification_head, image_input, model_of
from keras_archs.layers.options import ClassifierOptions, Option, is_fraction, is_positive, is_ratio_or_none, one_of
from keras_archs.layers.squeeze_excitation import squeeze_excite
from keras_archs.layers.stochastic_depth import drop_rates, skip
from keras_archs.layers.tensorflow_style import conv_bn, depthwise_bn
from keras_archs.models.architecture import architecture
from keras_archs.models.mobilenet_v2 import DropPathRate


@dataclass(frozen=True)
class Block:
    """One ``bneck`` of Table 1 or 2."""

    kernel: int
    expansion: float
    """Expanded channels per channel of the block's input; the tables print the product."""
    filters: int
    se: bool
    activation: str
    stride: int


@dataclass(frozen=True)
class Plan:
    """Table 1 or 2: the blocks, a stage for each width, and what surrounds them."""

    stages: tuple[tuple[Block, ...], ...]
    activation: str
    """Of the stem and of everything behind the blocks."""
    neck: int
    """Width of the layer between pooling and classifier."""


SIZE = 224
STEM = 16
TOP_EXPANSION = 6
"""The convolution before pooling: 960 of 160 channels in Table 1, 576 of 96 in Table 2. As in TF-slim, no
squeeze-and-excitation follows it, neither in the large network nor in the small one."""

RE, HS = "relu", "hard_swish"

LARGE = Plan(
    stages=(
        (Block(kernel=3, expansion=16 / 16, filters=16, se=False, activation=RE, stride=1),),
        (
            Block(kernel=3, expansion=64 / 16, filters=24, se=False, activation=RE, stride=2),
            Block(kernel=3, expansion=72 / 24, filters=24, se=False, activation=RE, stride=1),
        ),
        (
            Block(kernel=5, expansion=72 / 24, filters=40, se=True, activation=RE, stride=2),
            Block(kernel=5, expansion=120 / 40, filters=40, se=True, activation=RE, stride=1),
            Block(kernel=5, expansion=120 / 40, filters=40, se=True, activation=RE, stride=1),
        ),
        (
            Block(kernel=3, expansion=240 / 40, filters=80, se=False, activation=HS, stride=2),
            Block(kernel=3, expansion=200 / 80, filters=80, se=False, activation=HS, stride=1),
            Block(kernel=3, expansion=184 / 80, filters=80, se=False, activation=HS, stride=1),
            Block(kernel=3, expansion=184 / 80, filters=80, se=False, activation=HS, stride=1),
        ),
        (
            Block(kernel=3, expansion=480 / 80, filters=112, se=True, activation=HS, stride=1),
            Block(kernel=3, expansion=672 / 112, filters=112, se=True, activation=HS, stride=1),
        ),
        (
            Block(kernel=5, expansion=672 / 112, filters=160, se=True, activation=HS, stride=2),
            Block(kernel=5, expansion=960 / 160, filters=160, se=True, activation=HS, stride=1),
            Block(kernel=5, expansion=960 / 160, filters=160, se=True, activation=HS, stride=1),
        ),
    ),
    activation=HS,
    neck=1280,
)

SMALL = Plan(
    stages=(
        (Block(kernel=3, expansion=16 / 16, filters=16, se=True, activation=RE, stride=2),),
        (
            Block(kernel=3, expansion=72 / 16, filters=24, se=False, activation=RE, stride=2),
            Block(kernel=3, expansion=88 / 24, filters=24, se=False, activation=RE, stride=1),
        ),
        (
            Block(kernel=5, expansion=96 / 24, filters=40, se=True, activation=HS, stride=2),
            Block(kernel=5, expansion=240 / 40, filters=40, se=True, activation=HS, stride=1),
            Block(kernel=5, expansion=240 / 40, filters=40, se=True, activation=HS, stride=1),
        ),
        (
            Block(kernel=5, expansion=120 / 40, filters=48, se=True, activation=HS, stride=1),
            Block(kernel=5, expansion=144 / 48, filters=48, se=True, activation=HS, stride=1),
        ),
        (
            Block(kernel=5, expansion=288 / 48, filters=96, se=True, activation=HS, stride=2),
            Block(kernel=5, expansion=576 / 96, filters=96, se=True, activation=HS, stride=1),
            Block(kernel=5, expansion=576 / 96, filters=96, se=True, activation=HS, stride=1),
        ),
    ),
    activation=HS,
    neck=1024,
)


def minimalistic(plan: Plan) -> Plan:
    """Keep the widths; no squeeze-and-excitation, no h-swish, 3x3 filters only."""
    return replace(
        plan,
        stages=tuple(
            tuple(replace(block, kernel=3, se=False, activation=RE) for block in stage) for stage in plan.stages
        ),
        activation=RE,
    )


class MobileNetV3Options(ClassifierOptions, total=False):
    """The arguments of MobileNetV3."""

    alpha: Annotated[
        float,
        Option(
            1.0,
            "Width multiplier: factor on the number of channels, rounded to multiples of 8; positive. The layer "
            "before the classifier grows with it and does not shrink.",
            is_positive,
        ),
    ]
    minimalistic: Annotated[
        bool,
        Option(
            False,
            "Whether to do without squeeze-and-excitation, h-swish and 5x5 filters; True or False.",
            one_of(True, False),
        ),
    ]
    dropout_rate: Annotated[
        float, Option(0.2, "Dropout before the classifier; at least 0 and less than 1.", is_fraction)
    ]
    drop_path_rate: DropPathRate
    se_ratio: Annotated[
        float | None,
        Option(
            None,
            "Channels inside squeeze-and-excitation, relative to those that it scales, rounded to multiples of 8: "
            "positive for all blocks, 0 for none, or None for a quarter in the blocks of the paper's tables.",
            is_ratio_or_none,
        ),
    ]


def _initializer() -> keras.initializers.Initializer:
    return keras.initializers.TruncatedNormal(stddev=0.09)


# The paper's decay of the moving averages (section 6.1.1).
_conv_bn = partial(conv_bn, kernel_initializer=_initializer, momentum=0.99)
_depthwise_bn = partial(depthwise_bn, kernel_initializer=_initializer, momentum=0.99)


def _block(
    x: keras.KerasTensor, block: Block, *, alpha: float, se_ratio: float | None, drop_rate: float, name: str
) -> keras.KerasTensor:
    """MobileNetV2's block with squeeze-and-excitation (figure 4); skip if shapes allow."""
    inputs, expanded = x, round_filters(x.shape[-1], block.expansion)
    if se_ratio is None and block.se:
        se_ratio = 1 / 4  # of the expanded channels (section 5.3)
    if block.expansion > 1:
        x = _conv_bn(x, expanded, 1, 1, block.activation, name=f"{name}_expand")
    x = _depthwise_bn(x, block.kernel, block.stride, block.activation, name=f"{name}_depthwise")
    if se_ratio:
        x = squeeze_excite(
            x,
            hidden=round_filters(expanded, se_ratio),
            activation="relu",
            gate_activation="hard_sigmoid",
            kernel_initializer=_initializer,
            name=f"{name}_se",
        )
    x = _conv_bn(x, round_filters(block.filters, alpha), 1, 1, None, name=f"{name}_project")
    return skip(inputs, x, block.stride, drop_rate, name=name)


def _mobilenet_v3(plan: Plan, **options: Unpack[MobileNetV3Options]) -> keras.Model:
    """Stem, stages, the efficient last stage."""
    prefix, alpha = options["prefix"], options["alpha"]
    plan = minimalistic(plan) if options["minimalistic"] else plan
    images = image_input(SIZE, options)
    x = _conv_bn(images, round_filters(STEM, alpha), 3, 2, plan.activation, name=f"{prefix}stem")
    rates = drop_rates(options["drop_path_rate"], blocks=sum(len(stage) for stage in plan.stages))
    for number, stage in enumerate(plan.stages, start=1):
        # The stage ends each of these loops; the rates go on.
        for block, (row, drop_rate) in enumerate(zip(stage, rates, strict=False), start=1):
            x = _block(
                x,
                row,
                alpha=alpha,
                se_ratio=options["se_ratio"],
                drop_rate=drop_rate,
                name=f"{prefix}stage{number}_block{block}",
            )
    x = _conv_bn(x, round_filters(x.shape[-1], TOP_EXPANSION), 1, 1, plan.activation, name=f"{prefix}top")
    x = classification_head(
        x,
        options,
        neck=layers.Dense(
            round_filters(plan.neck, max(1.0, alpha)),
            activation=plan.activation,
            kernel_initializer=_initializer(),
            name=f"{prefix}neck",
        ),
        dropout_rate=options["dropout_rate"],
        kernel_initializer=_initializer(),
    )
    return model_of(images, x, options)


@architecture(MobileNetV3Options)
def MobileNetV3Large(**options: Unpack[MobileNetV3Options]) -> keras.Model:
    """MobileNetV3-Large for images of 224 pixels, with alpha times the channels (Table 1)."""
    return _mobilenet_v3(LARGE, **options)


@architecture(MobileNetV3Options)
def MobileNetV3Small(**options: Unpack[MobileNetV3Options]) -> keras.Model:
    """MobileNetV3-Small for images of 224 pixels, with alpha times the channels (Table 2)."""
    return _mobilenet_v3(SMALL, **options)
