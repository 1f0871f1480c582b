"""MobileNetV2: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (2018).

The skips connect the narrow feature maps: a block expands its input, convolves each channel, and projects back without
a nonlinearity, which would destroy information where there are few channels (sections 3.2 and 3.3).

Constants that the paper does not print are TF-slim's, the authors' implementation. keras.applications gives the same
logits, but has no dropout, other initialisation, and padding that is wrong for odd sizes unknown at build time.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Unpack

import keras

from keras_archs.cards.scaling import round_filters, round_repeats, round_size
from keras_archs.layers.endpoints import endpoint
from keras_archs.layers.heads import classification_head, image_input, model_of
from keras_archs.layers.options import (
    BASELINE_SIZE,
    Alpha,
    ClassifierOptions,
    DropoutRate,
    DropPathRate,
    Override,
    ScalingOptions,
    SeRatio,
)
from keras_archs.layers.squeeze_excitation import squeeze_excite
from keras_archs.layers.stochastic_depth import drop_rates, skip
from keras_archs.layers.tensorflow_style import Constants, conv_bn, depthwise_bn, slim_initializer
from keras_archs.models.architecture import architecture


@dataclass(frozen=True)
class Stage:
    """One row of Table 2; only the first block has the stride."""

    expansion: int
    """Channels after the expansion, per channel of the block's input."""
    filters: int
    """Channels of the block's output."""
    repeats: int
    """Number of blocks."""
    stride: int


SIZE = BASELINE_SIZE
STEM = 32
STAGES = (
    Stage(expansion=1, filters=16, repeats=1, stride=1),
    Stage(expansion=6, filters=24, repeats=2, stride=2),
    Stage(expansion=6, filters=32, repeats=3, stride=2),
    Stage(expansion=6, filters=64, repeats=4, stride=2),
    Stage(expansion=6, filters=96, repeats=3, stride=1),
    Stage(expansion=6, filters=160, repeats=3, stride=2),
    Stage(expansion=6, filters=320, repeats=1, stride=1),
)
TOP = 1280
CONSTANTS = Constants(slim_initializer, momentum=0.997)


def block(
    x: keras.KerasTensor, row: Stage, stride: int, *, alpha: float, se_ratio: float | None, drop_rate: float, name: str
) -> keras.KerasTensor:
    """Apply an inverted residual with a linear bottleneck (Table 1, figure 4d)."""
    inputs, expanded = x, x.shape[-1] * row.expansion
    if row.expansion > 1:
        x = conv_bn(x, expanded, 1, 1, "relu6", CONSTANTS, name=f"{name}_expand")
    x = depthwise_bn(x, 3, stride, "relu6", CONSTANTS, name=f"{name}_depthwise")
    if se_ratio:
        x = squeeze_excite(
            x,
            hidden=max(1, int(se_ratio * expanded)),
            activation="relu",
            kernel_initializer=slim_initializer,
            name=f"{name}_se",
        )
    x = conv_bn(x, round_filters(row.filters, alpha), 1, 1, None, CONSTANTS, name=f"{name}_project")
    return skip(inputs, x, stride, drop_rate, name=name)


def stage(
    x: keras.KerasTensor, row: Stage, rates: Iterator[float], *, alpha: float, se_ratio: float | None, name: str
) -> keras.KerasTensor:
    """Apply the blocks of one row of Table 2; each takes the next rate of stochastic depth."""
    for number in range(1, row.repeats + 1):
        stride = row.stride if number == 1 else 1
        x = block(x, row, stride, alpha=alpha, se_ratio=se_ratio, drop_rate=next(rates), name=f"{name}_block{number}")
    return x


LinearDropPathRate = Annotated[
    DropPathRate,
    Override(note="The rate rises linearly up to the last block (equation 4); blocks without a skip are not dropped."),
]


class CommonOptions(ClassifierOptions, total=False):
    """Arguments of `MobileNetV2` and `ScaledMobileNetV2`."""

    dropout_rate: Annotated[DropoutRate, Override(default=0.2)]
    drop_path_rate: LinearDropPathRate
    se_ratio: Annotated[SeRatio, Override(note="Placed after each depthwise convolution, as in MobileNetV3.")]


class MobileNetV2Options(CommonOptions, total=False):
    """Arguments of `MobileNetV2`."""

    alpha: Annotated[
        Alpha,
        Override(note="Rounded to multiples of 8. The last convolution grows with alpha, but does not shrink."),
    ]


class ScaledMobileNetV2Options(CommonOptions, ScalingOptions, total=False):
    """Arguments of `ScaledMobileNetV2`."""


def mobilenet_v2(options: CommonOptions, *, alpha: float, depth: float = 1.0, size: int = SIZE) -> keras.Model:
    """Build stem, stages and head (Table 2)."""
    prefix = options["prefix"]
    images = image_input(size, options)
    x = conv_bn(images, round_filters(STEM, alpha), 3, 2, "relu6", CONSTANTS, name=f"{prefix}stem")
    x = endpoint(x, f"{prefix}stem")
    stages = [replace(row, repeats=round_repeats(row.repeats, depth)) for row in STAGES]
    rates = drop_rates(options["drop_path_rate"], blocks=sum(row.repeats for row in stages))
    for number, row in enumerate(stages, start=1):
        x = stage(x, row, rates, alpha=alpha, se_ratio=options["se_ratio"], name=f"{prefix}stage{number}")
        x = endpoint(x, f"{prefix}stage{number}")
    x = conv_bn(x, round_filters(TOP, max(1.0, alpha)), 1, 1, "relu6", CONSTANTS, name=f"{prefix}top")
    x = endpoint(x, f"{prefix}top")
    x = classification_head(x, options, dropout_rate=options["dropout_rate"], kernel_initializer=slim_initializer())
    return model_of(images, x, options)


@architecture(MobileNetV2Options)
def MobileNetV2(**options: Unpack[MobileNetV2Options]) -> keras.Model:
    """MobileNetV2 for images of 224 pixels, with alpha times the channels (Table 2)."""
    return mobilenet_v2(options, alpha=options["alpha"])


@architecture(ScaledMobileNetV2Options)
def ScaledMobileNetV2(**options: Unpack[ScaledMobileNetV2Options]) -> keras.Model:
    """MobileNetV2 at any scale: grown by compound scaling (Tan & Le 2019, section 5.1); its width is alpha."""
    size = round_size(SIZE, options["resolution"])
    return mobilenet_v2(options, alpha=options["width"], depth=options["depth"], size=size)
