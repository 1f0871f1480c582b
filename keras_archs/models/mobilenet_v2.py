"""MobileNetV2: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (2018).

The skip joins the narrow feature maps: a block widens its input, filters each channel, and projects back without a
nonlinearity, which would destroy information where there are few channels (sections 3.2 and 3.3).

Constants that the paper does not print are TF-slim's, the authors' implementation. keras.applications, whose numbers
these are, has no dropout, other initialisation, and padding that is wrong where odd sizes are not known beforehand.
"""

from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Annotated, Unpack

import keras

from keras_archs.cards.scaling import round_filters, round_repeats, round_size
from keras_archs.layers.heads import classification_head, image_input, model_of
from keras_archs.layers.options import (
    BASELINE_SIZE,
    ClassifierOptions,
    Option,
    ScalingOptions,
    is_fraction,
    is_positive,
    is_ratio_or_none,
)
from keras_archs.layers.squeeze_excitation import squeeze_excite
from keras_archs.layers.stochastic_depth import drop_rates, skip
from keras_archs.layers.tensorflow_style import conv_bn, depthwise_bn
from keras_archs.models.architecture import architecture


@dataclass(frozen=True)
class Stage:
    """One row of Table 2: ``repeats`` bottlenecks, of which the first has the stride."""

    expansion: int
    filters: int
    repeats: int
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


DropPathRate = Annotated[
    float,
    Option(
        0.0,
        "Stochastic depth (Huang et al. 2016, equation 4) where a block has a skip: the rate rises linearly with "
        "the block, up to this at the last; at least 0 and less than 1.",
        is_fraction,
    ),
]


class CommonOptions(ClassifierOptions, total=False):
    """The arguments of MobileNetV2, however its size is given."""

    dropout_rate: Annotated[
        float, Option(0.2, "Dropout before the classifier; at least 0 and less than 1.", is_fraction)
    ]
    drop_path_rate: DropPathRate
    se_ratio: Annotated[
        float | None,
        Option(
            None,
            "Channels inside squeeze-and-excitation after each depthwise convolution, as MobileNetV3 has it, relative "
            "to those that it scales; positive, or 0 or None for none, as published.",
            is_ratio_or_none,
        ),
    ]


class MobileNetV2Options(CommonOptions, total=False):
    """The arguments of MobileNetV2."""

    alpha: Annotated[
        float,
        Option(
            1.0,
            "Width multiplier: factor on the number of channels, rounded to multiples of 8; positive. The last "
            "convolution grows with it and does not shrink.",
            is_positive,
        ),
    ]


class ScaledMobileNetV2Options(CommonOptions, ScalingOptions, total=False):
    """The arguments of MobileNetV2 at any scale."""


def _initializer() -> keras.initializers.Initializer:
    return keras.initializers.TruncatedNormal(stddev=0.09)


_conv_bn = partial(conv_bn, kernel_initializer=_initializer, momentum=0.997)
_depthwise_bn = partial(depthwise_bn, kernel_initializer=_initializer, momentum=0.997)


def _block(
    x: keras.KerasTensor,
    stage: Stage,
    stride: int,
    *,
    filters: int,
    se_ratio: float | None,
    drop_rate: float,
    name: str,
) -> keras.KerasTensor:
    """Inverted residual with a linear bottleneck (Table 1, figure 4d); skip if shapes allow."""
    inputs, expanded = x, x.shape[-1] * stage.expansion
    if stage.expansion > 1:
        x = _conv_bn(x, expanded, 1, 1, "relu6", name=f"{name}_expand")
    x = _depthwise_bn(x, 3, stride, "relu6", name=f"{name}_depthwise")
    if se_ratio:
        x = squeeze_excite(
            x,
            hidden=max(1, int(se_ratio * expanded)),
            activation="relu",
            kernel_initializer=_initializer,
            name=f"{name}_se",
        )
    x = _conv_bn(x, filters, 1, 1, None, name=f"{name}_project")
    return skip(inputs, x, stride, drop_rate, name=name)


def _stage(
    x: keras.KerasTensor,
    stage: Stage,
    *,
    alpha: float,
    se_ratio: float | None,
    drop_rates: list[float],
    name: str,
) -> keras.KerasTensor:
    """The blocks of one row of Table 2."""
    for block, drop_rate in enumerate(drop_rates, start=1):
        x = _block(
            x,
            stage,
            stage.stride if block == 1 else 1,
            filters=round_filters(stage.filters, alpha),
            se_ratio=se_ratio,
            drop_rate=drop_rate,
            name=f"{name}_block{block}",
        )
    return x


def _mobilenet_v2(
    *, alpha: float, depth: float = 1.0, size: int = SIZE, **options: Unpack[CommonOptions]
) -> keras.Model:
    """Stem, stages, head."""
    prefix = options["prefix"]
    images = image_input(size, options)
    stages = [replace(stage, repeats=round_repeats(stage.repeats, depth)) for stage in STAGES]
    x = _conv_bn(images, round_filters(STEM, alpha), 3, 2, "relu6", name=f"{prefix}stem")
    rates = drop_rates(options["drop_path_rate"], blocks=sum(stage.repeats for stage in stages))
    for number, stage in enumerate(stages, start=1):
        x = _stage(
            x,
            stage,
            alpha=alpha,
            se_ratio=options["se_ratio"],
            drop_rates=list(islice(rates, stage.repeats)),
            name=f"{prefix}stage{number}",
        )
    x = _conv_bn(x, round_filters(TOP, max(1.0, alpha)), 1, 1, "relu6", name=f"{prefix}top")
    x = classification_head(x, options, dropout_rate=options["dropout_rate"], kernel_initializer=_initializer())
    return model_of(images, x, options)


def _at_scale(*, width: float, depth: float, resolution: float, **options: Unpack[CommonOptions]) -> keras.Model:
    return _mobilenet_v2(alpha=width, depth=depth, size=round_size(SIZE, resolution), **options)


@architecture(MobileNetV2Options)
def MobileNetV2(**options: Unpack[MobileNetV2Options]) -> keras.Model:
    """MobileNetV2 for images of 224 pixels, with alpha times the channels (Table 2)."""
    return _mobilenet_v2(**options)


@architecture(ScaledMobileNetV2Options)
def ScaledMobileNetV2(**options: Unpack[ScaledMobileNetV2Options]) -> keras.Model:
    """MobileNetV2 at any scale: grown by compound scaling (Tan & Le 2019, section 5.1); its width is alpha."""
    return _at_scale(**options)
