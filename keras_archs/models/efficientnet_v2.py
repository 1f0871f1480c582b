"""EfficientNetV2: Tan & Le, "EfficientNetV2: Smaller Models and Faster Training" (2021).

Early stages have fused blocks: one full convolution is faster there than an expansion and a depthwise convolution,
and goes without squeeze-and-excitation (section 3.2, Table 4). B0 to B3 scale a baseline like EfficientNet's.

Unlike keras.applications, whose numbers these are: stochastic depth counts the blocks after scaling, so that its
rate stays below ``drop_connect_rate``; dropout is what the authors have for each network; and the input is
normalised already.
"""

from functools import partial
from typing import Any, Unpack

import keras

from keras_archs.cards.scaling import EFFICIENTNET_V2
from keras_archs.layers.options import BASELINE_SIZE
from keras_archs.layers.stochastic_depth import skip
from keras_archs.models.architecture import architecture
from keras_archs.models.efficientnet import (
    EfficientNetOptions,
    Plan,
    ScaledEfficientNetOptions,
    Stage,
    at_scale,
    conv_bn,
    efficientnet,
    inverted_bottleneck,
    scaled,
)


class FusedStage(Stage):
    """One row of Table 4 with fused blocks."""


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
    head=1280,
    activation="swish",
    momentum=0.9,
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
    head=1280,
    activation="swish",
    momentum=0.9,
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
    head=1280,
    activation="swish",
    momentum=0.9,
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
    head=1280,
    activation="swish",
    momentum=0.9,
)

BASELINES = {"b0": B, "b1": B, "b2": B, "b3": B, "s": S, "m": M, "l": L}


def _fused(
    x: keras.KerasTensor,
    stage: Stage,
    stride: int,
    *,
    activation: str,
    momentum: float,
    drop_rate: float,
    name: str,
) -> keras.KerasTensor:
    """Expand with a full convolution, project; without expansion the convolution is all (Figure 2)."""
    inputs, filters = x, stage.filters
    if stage.expansion > 1:
        filters = x.shape[-1] * stage.expansion
    x = conv_bn(x, filters, stage.kernel, stride, activation, momentum=momentum, name=f"{name}_fused")
    if stage.expansion > 1:
        x = conv_bn(x, stage.filters, 1, 1, None, momentum=momentum, name=f"{name}_project")
    return skip(inputs, x, stride, drop_rate, name=name)


def _block(
    x: keras.KerasTensor, stage: Stage, stride: int, *, se_ratio: float | None, **common: Any
) -> keras.KerasTensor:
    if isinstance(stage, FusedStage):
        return _fused(x, stage, stride, **common)
    return inverted_bottleneck(x, stage, stride, se_ratio=se_ratio, **common)


_scaled = partial(scaled, keep=0)


def _v2(variant: str, **options: Unpack[EfficientNetOptions]) -> keras.Model:
    return efficientnet(_scaled(EFFICIENTNET_V2[variant], BASELINES[variant]), _block, **options)


@architecture(ScaledEfficientNetOptions)
def EfficientNetV2(**options: Unpack[ScaledEfficientNetOptions]) -> keras.Model:
    """EfficientNetV2 at any scale: the baseline, B0, grown by any factors."""
    return at_scale(partial(_scaled, baseline=B), _block, **options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET_V2["b0"].dropout)
def EfficientNetV2B0(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNetV2-B0 for images of 224 pixels: the baseline."""
    return _v2("b0", **options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET_V2["b1"].dropout)
def EfficientNetV2B1(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNetV2-B1 for images of 240 pixels: width 1.0, depth 1.1."""
    return _v2("b1", **options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET_V2["b2"].dropout)
def EfficientNetV2B2(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNetV2-B2 for images of 260 pixels: width 1.1, depth 1.2."""
    return _v2("b2", **options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET_V2["b3"].dropout)
def EfficientNetV2B3(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNetV2-B3 for images of 300 pixels: width 1.2, depth 1.4."""
    return _v2("b3", **options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET_V2["s"].dropout)
def EfficientNetV2S(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNetV2-S for images of 384 pixels: the searched network (Table 4)."""
    return _v2("s", **options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET_V2["m"].dropout)
def EfficientNetV2M(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNetV2-M for images of 480 pixels: S, scaled up."""
    return _v2("m", **options)


@architecture(EfficientNetOptions, dropout_rate=EFFICIENTNET_V2["l"].dropout)
def EfficientNetV2L(**options: Unpack[EfficientNetOptions]) -> keras.Model:
    """EfficientNetV2-L for images of 480 pixels: S, scaled up further."""
    return _v2("l", **options)
