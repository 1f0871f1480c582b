"""MobileNetV3: Howard et al., "Searching for MobileNetV3" (2019).

The inverted residuals of MobileNetV2, with widths and kernels found by search, squeeze-and-excitation with a piecewise
linear gate in some blocks, and h-swish in the deeper half (section 5). The last stage pools before its widest layer
instead of after it (section 5.1, figure 5). Minimalistic networks avoid operations that some accelerators run slowly:
squeeze-and-excitation, h-swish and 5x5 filters.

Constants that the paper does not print are TF-slim's, the authors' implementation. keras.applications gives the same
logits for the published networks, but normalises the input itself, keeps the stem at 16 channels for every alpha, and
has other initialisation.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Unpack

import keras
from keras import layers

from keras_archs.cards.scaling import round_filters
from keras_archs.layers.endpoints import endpoint
from keras_archs.layers.heads import classification_head, image_input, model_of
from keras_archs.layers.options import (
    Alpha,
    ClassifierOptions,
    DropoutRate,
    Option,
    Override,
    is_ratio_or_none,
    one_of,
)
from keras_archs.layers.squeeze_excitation import squeeze_excite
from keras_archs.layers.stochastic_depth import drop_rates, skip
from keras_archs.layers.tensorflow_style import Constants, conv_bn, depthwise_bn, slim_initializer
from keras_archs.models.architecture import architecture
from keras_archs.models.mobilenet_v2 import LinearDropPathRate


@dataclass(frozen=True)
class Block:
    """One ``bneck`` row of Table 1 or 2."""

    kernel: int
    expansion: float
    """Channels after the expansion, per channel of the block's input; the tables print the product."""
    filters: int
    se: bool
    activation: str
    stride: int


@dataclass(frozen=True)
class Plan:
    """Table 1 or 2; each stage is a run of blocks of equal width."""

    stages: tuple[tuple[Block, ...], ...]
    activation: str
    """Activation of the stem and of the layers after the last block."""
    neck: int
    """Width of the layer between pooling and classifier."""


SIZE = 224
STEM = 16
TOP_EXPANSION = 6
"""Channels of the convolution before pooling, per channel of the last block: 960 of 160 in Table 1, 576 of 96 in
Table 2. As in TF-slim, no squeeze-and-excitation follows it in either network."""
CONSTANTS = Constants(slim_initializer, momentum=0.99)  # the momentum is the paper's (section 6.1.1)

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
    """Remove squeeze-and-excitation, h-swish and 5x5 filters, and keep the widths."""
    return replace(
        plan,
        stages=tuple(tuple(replace(row, kernel=3, se=False, activation=RE) for row in stage) for stage in plan.stages),
        activation=RE,
    )


def block(
    x: keras.KerasTensor, row: Block, *, alpha: float, se_ratio: float | None, drop_rate: float, name: str
) -> keras.KerasTensor:
    """Apply MobileNetV2's block with squeeze-and-excitation (figure 4)."""
    inputs, expanded = x, round_filters(x.shape[-1], row.expansion)
    if row.expansion > 1:
        x = conv_bn(x, expanded, 1, 1, row.activation, CONSTANTS, name=f"{name}_expand")
    x = depthwise_bn(x, row.kernel, row.stride, row.activation, CONSTANTS, name=f"{name}_depthwise")
    if se_ratio is None and row.se:
        se_ratio = 1 / 4  # of the expanded channels (section 5.3)
    if se_ratio:
        x = squeeze_excite(
            x,
            hidden=round_filters(expanded, se_ratio),
            activation="relu",
            gate_activation="hard_sigmoid",
            kernel_initializer=slim_initializer,
            name=f"{name}_se",
        )
    x = conv_bn(x, round_filters(row.filters, alpha), 1, 1, None, CONSTANTS, name=f"{name}_project")
    return skip(inputs, x, row.stride, drop_rate, name=name)


def stage(
    x: keras.KerasTensor,
    rows: tuple[Block, ...],
    rates: Iterator[float],
    *,
    alpha: float,
    se_ratio: float | None,
    name: str,
) -> keras.KerasTensor:
    """Apply the blocks of equal width; each takes the next rate of stochastic depth."""
    for number, row in enumerate(rows, start=1):
        x = block(x, row, alpha=alpha, se_ratio=se_ratio, drop_rate=next(rates), name=f"{name}_block{number}")
    return x


class MobileNetV3Options(ClassifierOptions, total=False):
    """Arguments of MobileNetV3."""

    alpha: Annotated[
        Alpha,
        Override(
            note="Rounded to multiples of 8. The layer before the classifier grows with alpha, but does not shrink."
        ),
    ]
    minimalistic: Annotated[
        bool,
        Option(
            False,
            "Whether to avoid squeeze-and-excitation, h-swish and 5x5 filters; True or False.",
            one_of(True, False),
        ),
    ]
    dropout_rate: Annotated[DropoutRate, Override(default=0.2)]
    drop_path_rate: LinearDropPathRate
    se_ratio: Annotated[
        float | None,
        Option(
            None,
            "Channels of the bottleneck of squeeze-and-excitation, relative to the channels that it scales, rounded to "
            "multiples of 8: positive for all blocks, 0 for no squeeze-and-excitation, or None for a quarter in the "
            "blocks of the paper's tables.",
            is_ratio_or_none,
        ),
    ]


def mobilenet_v3(plan: Plan, options: MobileNetV3Options) -> keras.Model:
    """Build stem, stages and the efficient last stage (figure 5)."""
    prefix, alpha = options["prefix"], options["alpha"]
    plan = minimalistic(plan) if options["minimalistic"] else plan
    images = image_input(SIZE, options)
    x = conv_bn(images, round_filters(STEM, alpha), 3, 2, plan.activation, CONSTANTS, name=f"{prefix}stem")
    x = endpoint(x, f"{prefix}stem")
    rates = drop_rates(options["drop_path_rate"], blocks=sum(len(rows) for rows in plan.stages))
    for number, rows in enumerate(plan.stages, start=1):
        x = stage(x, rows, rates, alpha=alpha, se_ratio=options["se_ratio"], name=f"{prefix}stage{number}")
        x = endpoint(x, f"{prefix}stage{number}")
    x = conv_bn(x, round_filters(x.shape[-1], TOP_EXPANSION), 1, 1, plan.activation, CONSTANTS, name=f"{prefix}top")
    x = endpoint(x, f"{prefix}top")
    width = round_filters(plan.neck, max(1.0, alpha))
    neck = layers.Dense(width, plan.activation, kernel_initializer=slim_initializer(), name=f"{prefix}neck")
    x = classification_head(
        x, options, neck=neck, dropout_rate=options["dropout_rate"], kernel_initializer=slim_initializer()
    )
    return model_of(images, x, options)


@architecture(MobileNetV3Options)
def MobileNetV3Large(**options: Unpack[MobileNetV3Options]) -> keras.Model:
    """MobileNetV3-Large for images of 224 pixels, with alpha times the channels (Table 1)."""
    return mobilenet_v3(LARGE, options)


@architecture(MobileNetV3Options)
def MobileNetV3Small(**options: Unpack[MobileNetV3Options]) -> keras.Model:
    """MobileNetV3-Small for images of 224 pixels, with alpha times the channels (Table 2)."""
    return mobilenet_v3(SMALL, options)
