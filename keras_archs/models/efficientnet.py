"""EfficientNet: Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (2019).

A searched baseline of inverted bottlenecks with squeeze-and-excitation (Table 1), grown in width, depth and
resolution at once (section 3.3). The Lite networks drop what phones and integer arithmetic dislike: no
squeeze-and-excitation, ReLU6 for swish, and a stem and a head that do not grow.

Unlike keras.applications, whose numbers these are: the padding is right for any size, also where height and
width are not known beforehand, and normalisation stays outside (7 non-trainable parameters fewer).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Annotated, Unpack

import keras

from keras_archs.cards.scaling import (
    EFFICIENTNET,
    EFFICIENTNET_LITE,
    CompoundScaling,
    round_filters,
    round_repeats,
    round_size,
)
from keras_archs.layers import tensorflow_style
from keras_archs.layers.heads import classification_head, image_input, model_of
from keras_archs.layers.options import (
    BASELINE_SIZE,
    ClassifierOptions,
    Option,
    ScalingOptions,
    is_fraction,
    is_ratio_or_none,
)
from keras_archs.layers.squeeze_excitation import squeeze_excite
from keras_archs.layers.stochastic_depth import skip
from keras_archs.models.architecture import architecture


@dataclass(frozen=True)
class Stage:
    """One row of Table 1: ``repeats`` inverted bottlenecks, of which the first has the stride."""

    kernel: int
    stride: int
    expansion: int
    filters: int
    repeats: int


@dataclass(frozen=True)
class Plan:
    """Table 1 of one network."""

    size: int
    stem: int
    stages: tuple[Stage, ...]
    head: int
    activation: str
    momentum: float = 0.99
    """Of the normalisations' statistics."""


BASELINE = Plan(
    size=BASELINE_SIZE,
    stem=32,
    stages=(
        Stage(kernel=3, stride=1, expansion=1, filters=16, repeats=1),
        Stage(kernel=3, stride=2, expansion=6, filters=24, repeats=2),
        Stage(kernel=5, stride=2, expansion=6, filters=40, repeats=2),
        Stage(kernel=3, stride=2, expansion=6, filters=80, repeats=3),
        Stage(kernel=5, stride=1, expansion=6, filters=112, repeats=3),
        Stage(kernel=5, stride=2, expansion=6, filters=192, repeats=4),
        Stage(kernel=3, stride=1, expansion=6, filters=320, repeats=1),
    ),
    head=1280,
    activation="swish",
)


def scaled(scaling: CompoundScaling, baseline: Plan = BASELINE, keep: float = 0.9) -> Plan:
    """Scale the baseline as the paper does: every stage, the stem and the head."""
    return replace(
        baseline,
        size=scaling.resolution,
        stem=round_filters(baseline.stem, scaling.width, keep=keep),
        stages=tuple(
            replace(
                stage,
                filters=round_filters(stage.filters, scaling.width, keep=keep),
                repeats=round_repeats(stage.repeats, scaling.depth),
            )
            for stage in baseline.stages
        ),
        head=round_filters(baseline.head, scaling.width, keep=keep),
    )


def scaled_lite(scaling: CompoundScaling) -> Plan:
    """Scale the baseline as Lite does: stem and head stay as they are, first and last stage as deep."""
    first, *middle, last = scaled(scaling).stages
    return Plan(
        size=scaling.resolution,
        stem=BASELINE.stem,
        stages=(replace(first, repeats=1), *middle, replace(last, repeats=1)),
        head=BASELINE.head,
        activation="relu6",
    )


class EfficientNetOptions(ClassifierOptions, total=False):
    """The arguments of EfficientNet."""

    dropout_rate: Annotated[
        float, Option(0.2, "Dropout before the classifier; at least 0 and less than 1.", is_fraction)
    ]
    drop_connect_rate: Annotated[
        float,
        Option(
            0.2,
            "Stochastic depth: the rate rises from 0 at the first block to almost this at the last; at least "
            "0 and less than 1.",
            is_fraction,
        ),
    ]

    se_ratio: Annotated[
        float | None,
        Option(
            0.25,
            "Channels inside squeeze-and-excitation, relative to those that enter the block; positive, or 0 "
            "or None for none.",
            is_ratio_or_none,
        ),
    ]


def _conv_initializer() -> keras.initializers.Initializer:
    """As published: a normal distribution that is not truncated, where keras.applications truncates."""
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")


def _dense_initializer() -> keras.initializers.Initializer:
    """As published: uniform between -1/sqrt(classes) and 1/sqrt(classes)."""
    return keras.initializers.VarianceScaling(1 / 3, "fan_out", "uniform")


conv_bn = partial(tensorflow_style.conv_bn, kernel_initializer=_conv_initializer)
_depthwise_bn = partial(tensorflow_style.depthwise_bn, kernel_initializer=_conv_initializer)


def inverted_bottleneck(
    x: keras.KerasTensor,
    stage: Stage,
    stride: int,
    *,
    activation: str,
    momentum: float,
    se_ratio: float | None,
    drop_rate: float,
    name: str,
) -> keras.KerasTensor:
    """Expand, filter each channel, weigh the channels, project; skip if shapes allow."""
    inputs, filters_in = x, x.shape[-1]
    if stage.expansion > 1:
        filters = filters_in * stage.expansion
        x = conv_bn(x, filters, 1, 1, activation, momentum=momentum, name=f"{name}_expand")
    x = _depthwise_bn(x, stage.kernel, stride, activation, momentum=momentum, name=f"{name}_depthwise")
    if se_ratio:
        x = squeeze_excite(
            x,
            hidden=max(1, int(se_ratio * filters_in)),  # of the block's input, not of the expanded channels
            activation=activation,
            kernel_initializer=_conv_initializer,
            name=f"{name}_se",
        )
    x = conv_bn(x, stage.filters, 1, 1, None, momentum=momentum, name=f"{name}_project")
    return skip(inputs, x, stride, drop_rate, name=name)


def _stage(
    x: keras.KerasTensor,
    stage: Stage,
    block: Callable[..., keras.KerasTensor],
    *,
    plan: Plan,
    se_ratio: float | None,
    drop_rates: list[float],
    name: str,
) -> keras.KerasTensor:
    """The blocks of one row of Table 1."""
    for number, drop_rate in enumerate(drop_rates, start=1):
        x = block(
            x,
            stage,
            stride=stage.stride if number == 1 else 1,
            activation=plan.activation,
            momentum=plan.momentum,
            se_ratio=se_ratio,
            drop_rate=drop_rate,
            name=f"{name}_block{number}",
        )
    return x


def efficientnet(
    plan: Plan,
    block: Callable[..., keras.KerasTensor] = inverted_bottleneck,
    **options: Unpack[EfficientNetOptions],
) -> keras.Model:
    """Stem, stages of such blocks, head."""
    prefix = options["prefix"]
    images = image_input(plan.size, options)
    x = conv_bn(images, plan.stem, 3, 2, plan.activation, momentum=plan.momentum, name=f"{prefix}stem")

    total = sum(stage.repeats for stage in plan.stages)
    drop_rates = iter([options["drop_connect_rate"] * number / total for number in range(total)])
    for number, stage in enumerate(plan.stages, start=1):
        x = _stage(
            x,
            stage,
            block,
            plan=plan,
            se_ratio=options["se_ratio"],
            drop_rates=list(islice(drop_rates, stage.repeats)),
            name=f"{prefix}stage{number}",
        )

    x = conv_bn(x, plan.head, 1, 1, plan.activation, momentum=plan.momentum, name=f"{prefix}top")
    x = classification_head(x, options, dropout_rate=options["dropout_rate"], kernel_initializer=_dense_initializer())
    return model_of(images, x, options)


def _b(variant: str, **options: Unpack[EfficientNetOptions]) -> keras.Model:
    return efficientnet(scaled(EFFICIENTNET[variant]), **options)


def _lite(variant: str, **options: Unpack[EfficientNetOptions]) -> keras.Model:
    return efficientnet(scaled_lite(EFFICIENTNET_LITE[variant]), **options)


class ScaledEfficientNetOptions(EfficientNetOptions, ScalingOptions, total=False):
    """The arguments of EfficientNet at any scale."""


def at_scale(
    scale: Callable[[CompoundScaling], Plan],
    block: Callable[..., keras.KerasTensor] = inverted_bottleneck,
    *,
    width: float,
    depth: float,
    resolution: float,
    **options: Unpack[EfficientNetOptions],
) -> keras.Model:
    """The network of a baseline that ``scale`` has grown."""
    size = round_size(BASELINE_SIZE, resolution)
    return efficientnet(scale(CompoundScaling(width, depth, size, options["dropout_rate"])), block, **options)


@architecture(ScaledEfficientNetOptions)
def EfficientNet(**options: Unpack[ScaledEfficientNetOptions]) -> keras.Model:
    """EfficientNet at any scale: the searched baseline (Table 1), grown by any factors (section 3.3)."""
    return at_scale(scaled, **options)


@architecture(ScaledEfficientNetOptions, se_ratio=None)
def EfficientNetLite(**options: Unpack[ScaledEfficientNetOptions]) -> keras.Model:
    """EfficientNet-Lite at any scale: Lite0, whose stem, head, first and last stage keep what Lite does not grow."""
    return at_scale(scaled_lite, **options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET["b0"].dropout)
def EfficientNetB0(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNet-B0 for images of 224 pixels: the searched baseline (Table 1)."""
    return _b("b0", **options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET["b1"].dropout)
def EfficientNetB1(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNet-B1 for images of 240 pixels: width 1.0, depth 1.1 (section 3.3)."""
    return _b("b1", **options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET["b2"].dropout)
def EfficientNetB2(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNet-B2 for images of 260 pixels: width 1.1, depth 1.2 (section 3.3)."""
    return _b("b2", **options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET["b3"].dropout)
def EfficientNetB3(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNet-B3 for images of 300 pixels: width 1.2, depth 1.4 (section 3.3)."""
    return _b("b3", **options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET["b4"].dropout)
def EfficientNetB4(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNet-B4 for images of 380 pixels: width 1.4, depth 1.8 (section 3.3)."""
    return _b("b4", **options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET["b5"].dropout)
def EfficientNetB5(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNet-B5 for images of 456 pixels: width 1.6, depth 2.2 (section 3.3)."""
    return _b("b5", **options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET["b6"].dropout)
def EfficientNetB6(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNet-B6 for images of 528 pixels: width 1.8, depth 2.6 (section 3.3)."""
    return _b("b6", **options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET["b7"].dropout)
def EfficientNetB7(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNet-B7 for images of 600 pixels: width 2.0, depth 3.1 (section 3.3)."""
    return _b("b7", **options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET_LITE["lite0"].dropout, se_ratio=None)
def EfficientNetLite0(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNet-Lite0 for images of 224 pixels: B0 without squeeze-and-excitation, with ReLU6."""
    return _lite("lite0", **options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET_LITE["lite1"].dropout, se_ratio=None)
def EfficientNetLite1(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNet-Lite1 for images of 240 pixels: width 1.0, depth 1.1."""
    return _lite("lite1", **options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET_LITE["lite2"].dropout, se_ratio=None)
def EfficientNetLite2(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNet-Lite2 for images of 260 pixels: width 1.1, depth 1.2."""
    return _lite("lite2", **options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET_LITE["lite3"].dropout, se_ratio=None)
def EfficientNetLite3(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNet-Lite3 for images of 280 pixels: width 1.2, depth 1.4."""
    return _lite("lite3", **options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET_LITE["lite4"].dropout, se_ratio=None)
def EfficientNetLite4(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNet-Lite4 for images of 300 pixels: width 1.4, depth 1.8."""
    return _lite("lite4", **options)
