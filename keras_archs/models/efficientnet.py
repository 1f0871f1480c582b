"""EfficientNet: Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (2019).

A searched baseline of inverted bottlenecks with squeeze-and-excitation (Table 1), grown in width, depth and resolution
together (section 3.3). The Lite networks avoid operations that phones and integer arithmetic run slowly: they have no
squeeze-and-excitation, ReLU6 instead of swish, and a stem and a head that do not grow.

keras.applications gives the same logits, with two differences: its padding is wrong for odd sizes unknown at build
time, and its networks contain the normalisation of the input (7 non-trainable parameters more).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
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
from keras_archs.layers.endpoints import endpoint
from keras_archs.layers.heads import classification_head, image_input, model_of
from keras_archs.layers.options import (
    BASELINE_SIZE,
    ClassifierOptions,
    DropoutRate,
    Option,
    Override,
    ScalingOptions,
    is_fraction,
    is_ratio_or_none,
)
from keras_archs.layers.squeeze_excitation import squeeze_excite
from keras_archs.layers.stochastic_depth import skip
from keras_archs.layers.tensorflow_style import Constants, conv_bn, depthwise_bn
from keras_archs.models.architecture import architecture


def initializer() -> keras.initializers.Initializer:
    """Return the published initializer: a normal distribution, not truncated as in keras.applications."""
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")


CONSTANTS = Constants(initializer, momentum=0.99)


@dataclass(frozen=True)
class Stage:
    """One row of Table 1; only the first block has the stride."""

    kernel: int
    stride: int
    expansion: int
    """Channels after the expansion, per channel of the block's input."""
    filters: int
    """Channels of the block's output."""
    repeats: int
    """Number of blocks."""


@dataclass(frozen=True)
class Plan:
    """Table 1 of one network."""

    size: int
    """Height and width of the default input, in pixels."""
    stem: int
    """Channels of the stem."""
    stages: tuple[Stage, ...]
    head: int = 1280
    """Channels of the last convolution."""
    activation: str = "swish"
    constants: Constants = CONSTANTS


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
)


def scaled(scaling: CompoundScaling, baseline: Plan = BASELINE, keep: float = 0.9) -> Plan:
    """Scale every stage, the stem and the head, as the paper does; `round_filters` describes ``keep``."""
    stages = (
        replace(
            row,
            filters=round_filters(row.filters, scaling.width, keep=keep),
            repeats=round_repeats(row.repeats, scaling.depth),
        )
        for row in baseline.stages
    )
    return replace(
        baseline,
        size=scaling.resolution,
        stem=round_filters(baseline.stem, scaling.width, keep=keep),
        stages=tuple(stages),
        head=round_filters(baseline.head, scaling.width, keep=keep),
    )


def scaled_lite(scaling: CompoundScaling) -> Plan:
    """Scale the baseline as Lite does: without stem, head, and the depth of the first and last stage."""
    first, *middle, last = scaled(scaling).stages
    stages = (replace(first, repeats=1), *middle, replace(last, repeats=1))
    return replace(BASELINE, size=scaling.resolution, stages=stages, activation="relu6")


def inverted_bottleneck(
    x: keras.KerasTensor, row: Stage, stride: int, *, plan: Plan, se_ratio: float | None, drop_rate: float, name: str
) -> keras.KerasTensor:
    """Expand, convolve each channel, scale the channels by squeeze-and-excitation, project (MBConv in Table 1)."""
    inputs, channels = x, x.shape[-1]
    if row.expansion > 1:
        x = conv_bn(x, channels * row.expansion, 1, 1, plan.activation, plan.constants, name=f"{name}_expand")
    x = depthwise_bn(x, row.kernel, stride, plan.activation, plan.constants, name=f"{name}_depthwise")
    if se_ratio:
        x = squeeze_excite(
            x,
            hidden=max(1, int(se_ratio * channels)),
            activation=plan.activation,
            kernel_initializer=initializer,
            name=f"{name}_se",
        )
    x = conv_bn(x, row.filters, 1, 1, None, plan.constants, name=f"{name}_project")
    return skip(inputs, x, stride, drop_rate, name=name)


def stage(
    x: keras.KerasTensor,
    row: Stage,
    rates: Iterator[float],
    block: Callable[..., keras.KerasTensor],
    *,
    plan: Plan,
    se_ratio: float | None,
    name: str,
) -> keras.KerasTensor:
    """Apply the blocks of one row of Table 1; each takes the next rate of stochastic depth."""
    for number in range(1, row.repeats + 1):
        stride = row.stride if number == 1 else 1
        x = block(x, row, stride, plan=plan, se_ratio=se_ratio, drop_rate=next(rates), name=f"{name}_block{number}")
    return x


class EfficientNetOptions(ClassifierOptions, total=False):
    """Arguments of EfficientNet."""

    dropout_rate: Annotated[DropoutRate, Override(default=0.2)]
    drop_connect_rate: Annotated[
        float,
        Option(
            0.2,
            "Stochastic depth: of n blocks, the i-th is dropped in training at this rate times (i - 1) / n; at least "
            "0 and less than 1.",
            is_fraction,
        ),
    ]
    se_ratio: Annotated[
        float | None,
        Option(
            0.25,
            "Channels of the bottleneck of squeeze-and-excitation, relative to the channels that enter the block; "
            "positive, or 0 or None for no squeeze-and-excitation.",
            is_ratio_or_none,
        ),
    ]


class ScaledEfficientNetOptions(EfficientNetOptions, ScalingOptions, total=False):
    """Arguments of EfficientNet at any scale."""


def scaling_of(options: ScaledEfficientNetOptions) -> CompoundScaling:
    """Return the scaling that a builder's arguments describe."""
    size = round_size(BASELINE_SIZE, options["resolution"])
    return CompoundScaling(options["width"], options["depth"], size, options["dropout_rate"])


def efficientnet(
    plan: Plan, options: EfficientNetOptions, block: Callable[..., keras.KerasTensor] = inverted_bottleneck
) -> keras.Model:
    """Build stem, stages of ``block`` and head (Table 1)."""
    prefix = options["prefix"]
    images = image_input(plan.size, options)
    x = conv_bn(images, plan.stem, 3, 2, plan.activation, plan.constants, name=f"{prefix}stem")
    x = endpoint(x, f"{prefix}stem")
    total = sum(row.repeats for row in plan.stages)
    rates = (options["drop_connect_rate"] * number / total for number in range(total))
    for number, row in enumerate(plan.stages, start=1):
        x = stage(x, row, rates, block, plan=plan, se_ratio=options["se_ratio"], name=f"{prefix}stage{number}")
        x = endpoint(x, f"{prefix}stage{number}")
    x = conv_bn(x, plan.head, 1, 1, plan.activation, plan.constants, name=f"{prefix}top")
    x = endpoint(x, f"{prefix}top")
    # The published initializer: uniform between -1/sqrt(classes) and 1/sqrt(classes).
    uniform = keras.initializers.VarianceScaling(1 / 3, "fan_out", "uniform")
    x = classification_head(x, options, dropout_rate=options["dropout_rate"], kernel_initializer=uniform)
    return model_of(images, x, options)


@architecture(ScaledEfficientNetOptions)
def EfficientNet(**options: Unpack[ScaledEfficientNetOptions]) -> keras.Model:
    """EfficientNet at any scale: the searched baseline (Table 1), grown by any factors (section 3.3)."""
    return efficientnet(scaled(scaling_of(options)), options)


@architecture(ScaledEfficientNetOptions, se_ratio=None)
def EfficientNetLite(**options: Unpack[ScaledEfficientNetOptions]) -> keras.Model:
    """EfficientNet-Lite at any scale: Lite0, grown except for its stem, its head and the depth of its outer stages."""
    return efficientnet(scaled_lite(scaling_of(options)), options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET["b0"].dropout)
def EfficientNetB0(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNet-B0 for images of 224 pixels: the searched baseline (Table 1)."""
    return efficientnet(scaled(EFFICIENTNET["b0"]), options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET["b1"].dropout)
def EfficientNetB1(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNet-B1 for images of 240 pixels: width 1.0, depth 1.1 (section 3.3)."""
    return efficientnet(scaled(EFFICIENTNET["b1"]), options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET["b2"].dropout)
def EfficientNetB2(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNet-B2 for images of 260 pixels: width 1.1, depth 1.2 (section 3.3)."""
    return efficientnet(scaled(EFFICIENTNET["b2"]), options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET["b3"].dropout)
def EfficientNetB3(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNet-B3 for images of 300 pixels: width 1.2, depth 1.4 (section 3.3)."""
    return efficientnet(scaled(EFFICIENTNET["b3"]), options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET["b4"].dropout)
def EfficientNetB4(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNet-B4 for images of 380 pixels: width 1.4, depth 1.8 (section 3.3)."""
    return efficientnet(scaled(EFFICIENTNET["b4"]), options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET["b5"].dropout)
def EfficientNetB5(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNet-B5 for images of 456 pixels: width 1.6, depth 2.2 (section 3.3)."""
    return efficientnet(scaled(EFFICIENTNET["b5"]), options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET["b6"].dropout)
def EfficientNetB6(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNet-B6 for images of 528 pixels: width 1.8, depth 2.6 (section 3.3)."""
    return efficientnet(scaled(EFFICIENTNET["b6"]), options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET["b7"].dropout)
def EfficientNetB7(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNet-B7 for images of 600 pixels: width 2.0, depth 3.1 (section 3.3)."""
    return efficientnet(scaled(EFFICIENTNET["b7"]), options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET_LITE["lite0"].dropout, se_ratio=None)
def EfficientNetLite0(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNet-Lite0 for images of 224 pixels: B0 without squeeze-and-excitation, with ReLU6."""
    return efficientnet(scaled_lite(EFFICIENTNET_LITE["lite0"]), options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET_LITE["lite1"].dropout, se_ratio=None)
def EfficientNetLite1(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNet-Lite1 for images of 240 pixels: width 1.0, depth 1.1."""
    return efficientnet(scaled_lite(EFFICIENTNET_LITE["lite1"]), options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET_LITE["lite2"].dropout, se_ratio=None)
def EfficientNetLite2(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNet-Lite2 for images of 260 pixels: width 1.1, depth 1.2."""
    return efficientnet(scaled_lite(EFFICIENTNET_LITE["lite2"]), options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET_LITE["lite3"].dropout, se_ratio=None)
def EfficientNetLite3(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNet-Lite3 for images of 280 pixels: width 1.2, depth 1.4."""
    return efficientnet(scaled_lite(EFFICIENTNET_LITE["lite3"]), options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET_LITE["lite4"].dropout, se_ratio=None)
def EfficientNetLite4(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNet-Lite4 for images of 300 pixels: width 1.4, depth 1.8."""
    return efficientnet(scaled_lite(EFFICIENTNET_LITE["lite4"]), options)
