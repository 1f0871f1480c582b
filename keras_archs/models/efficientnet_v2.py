"""EfficientNetV2: Tan & Le, "EfficientNetV2: Smaller Models and Faster Training" (2021).

Early stages have fused blocks: there a full convolution is faster than an expansion followed by a depthwise
convolution, and needs no squeeze-and-excitation (section 3.2, Table 4). B0 to B3 scale a baseline as EfficientNet does.

keras.applications gives the same logits, with three differences: here stochastic depth counts the blocks after scaling,
so that its rate stays below ``drop_connect_rate``; each network has the authors' dropout rate; and the normalisation of
the input is outside the network.
"""

from typing import Unpack

import keras

from keras_archs.cards.scaling import EFFICIENTNET_V2
from keras_archs.layers.options import BASELINE_SIZE
from keras_archs.layers.stochastic_depth import skip
from keras_archs.layers.tensorflow_style import conv_bn
from keras_archs.models.architecture import architecture
from keras_archs.models.efficientnet import CONSTANTS as EFFICIENTNET_CONSTANTS
from keras_archs.models.efficientnet import (
    EfficientNetOptions,
    Plan,
    ScaledEfficientNetOptions,
    Stage,
    efficientnet,
    inverted_bottleneck,
    scaled,
    scaling_of,
)


class FusedStage(Stage):
    """One row of Table 4 with fused blocks (Fused-MBConv)."""


CONSTANTS = EFFICIENTNET_CONSTANTS._replace(momentum=0.9)

B = Plan(
    size=BASELINE_SIZE,
    stem=32,
    stages=(
        FusedStage(kernel=3, stride=1, expansion=1, filters=16, repeats=1),
        FusedStage(kernel=3, stride=2, expansion=4, filters=32, repeats=2),
        FusedStage(kernel=3, stride=2, expansion=4, filters=48, repeats=2),
        Stage(kernel=3, stride=2, expansion=4, filters=96, repeats=3),
        Stage(kernel=3, stride=1, expansion=6, filters=112, repeats=5),
        Stage(kernel=3, stride=2, expansion=6, filters=192, repeats=8),
    ),
    constants=CONSTANTS,
)

S = Plan(
    size=384,
    stem=24,
    stages=(
        FusedStage(kernel=3, stride=1, expansion=1, filters=24, repeats=2),
        FusedStage(kernel=3, stride=2, expansion=4, filters=48, repeats=4),
        FusedStage(kernel=3, stride=2, expansion=4, filters=64, repeats=4),
        Stage(kernel=3, stride=2, expansion=4, filters=128, repeats=6),
        Stage(kernel=3, stride=1, expansion=6, filters=160, repeats=9),
        Stage(kernel=3, stride=2, expansion=6, filters=256, repeats=15),
    ),
    constants=CONSTANTS,
)

M = Plan(
    size=480,
    stem=24,
    stages=(
        FusedStage(kernel=3, stride=1, expansion=1, filters=24, repeats=3),
        FusedStage(kernel=3, stride=2, expansion=4, filters=48, repeats=5),
        FusedStage(kernel=3, stride=2, expansion=4, filters=80, repeats=5),
        Stage(kernel=3, stride=2, expansion=4, filters=160, repeats=7),
        Stage(kernel=3, stride=1, expansion=6, filters=176, repeats=14),
        Stage(kernel=3, stride=2, expansion=6, filters=304, repeats=18),
        Stage(kernel=3, stride=1, expansion=6, filters=512, repeats=5),
    ),
    constants=CONSTANTS,
)

L = Plan(
    size=480,
    stem=32,
    stages=(
        FusedStage(kernel=3, stride=1, expansion=1, filters=32, repeats=4),
        FusedStage(kernel=3, stride=2, expansion=4, filters=64, repeats=7),
        FusedStage(kernel=3, stride=2, expansion=4, filters=96, repeats=7),
        Stage(kernel=3, stride=2, expansion=4, filters=192, repeats=10),
        Stage(kernel=3, stride=1, expansion=6, filters=224, repeats=19),
        Stage(kernel=3, stride=2, expansion=6, filters=384, repeats=25),
        Stage(kernel=3, stride=1, expansion=6, filters=640, repeats=7),
    ),
    constants=CONSTANTS,
)

BASELINES = {"b0": B, "b1": B, "b2": B, "b3": B, "s": S, "m": M, "l": L}


def fused_bottleneck(
    x: keras.KerasTensor, row: Stage, stride: int, *, plan: Plan, drop_rate: float, name: str
) -> keras.KerasTensor:
    """Expand with a full convolution and project; without expansion, apply the full convolution only (figure 2)."""
    inputs = x
    filters = x.shape[-1] * row.expansion if row.expansion > 1 else row.filters
    x = conv_bn(x, filters, row.kernel, stride, plan.activation, plan.constants, name=f"{name}_fused")
    if row.expansion > 1:
        x = conv_bn(x, row.filters, 1, 1, None, plan.constants, name=f"{name}_project")
    return skip(inputs, x, stride, drop_rate, name=name)


def block(
    x: keras.KerasTensor, row: Stage, stride: int, *, plan: Plan, se_ratio: float | None, drop_rate: float, name: str
) -> keras.KerasTensor:
    """Apply the kind of block that the row of Table 4 names."""
    if isinstance(row, FusedStage):
        return fused_bottleneck(x, row, stride, plan=plan, drop_rate=drop_rate, name=name)
    return inverted_bottleneck(x, row, stride, plan=plan, se_ratio=se_ratio, drop_rate=drop_rate, name=name)


def efficientnet_v2(variant: str, options: EfficientNetOptions) -> keras.Model:
    """Build a published variant; unlike EfficientNet, its channels are rounded without a lower bound."""
    return efficientnet(scaled(EFFICIENTNET_V2[variant], BASELINES[variant], keep=0), options, block)


@architecture(ScaledEfficientNetOptions)
def EfficientNetV2(**options: Unpack[ScaledEfficientNetOptions]) -> keras.Model:
    """EfficientNetV2 at any scale: the baseline, B0, grown by any factors."""
    return efficientnet(scaled(scaling_of(options), B, keep=0), options, block)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET_V2["b0"].dropout)
def EfficientNetV2B0(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNetV2-B0 for images of 224 pixels: the baseline."""
    return efficientnet_v2("b0", options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET_V2["b1"].dropout)
def EfficientNetV2B1(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNetV2-B1 for images of 240 pixels: width 1.0, depth 1.1."""
    return efficientnet_v2("b1", options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET_V2["b2"].dropout)
def EfficientNetV2B2(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNetV2-B2 for images of 260 pixels: width 1.1, depth 1.2."""
    return efficientnet_v2("b2", options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET_V2["b3"].dropout)
def EfficientNetV2B3(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNetV2-B3 for images of 300 pixels: width 1.2, depth 1.4."""
    return efficientnet_v2("b3", options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET_V2["s"].dropout)
def EfficientNetV2S(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNetV2-S for images of 384 pixels: the searched network (Table 4)."""
    return efficientnet_v2("s", options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET_V2["m"].dropout)
def EfficientNetV2M(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNetV2-M for images of 480 pixels: S, scaled up."""
    return efficientnet_v2("m", options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET_V2["l"].dropout)
def EfficientNetV2L(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNetV2-L for images of 480 pixels: S, scaled up further."""
    return efficientnet_v2("l", options)
