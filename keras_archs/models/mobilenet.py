"""Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications" (2017).

Every convolution but the first is factored into a depthwise convolution, one filter per channel, and a 1x1 convolution
that mixes the channels (section 3.1). Two multipliers trade accuracy for speed: alpha for the width of every layer
(section 3.3), rho for the resolution of the image (section 3.4).

Constants that the paper does not print are TF-slim's, the authors' implementation. keras.applications has other padding
of odd sizes, which is not SAME, other initialisation, and another momentum of normalisation.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Unpack

import keras

from keras_archs.cards.scaling import round_repeats, round_size
from keras_archs.layers.endpoints import endpoint
from keras_archs.layers.heads import classification_head, image_input, model_of
from keras_archs.layers.options import (
    BASELINE_SIZE,
    Alpha,
    ClassifierOptions,
    DropoutRate,
    Option,
    Override,
    ScalingOptions,
    SeRatio,
    is_positive,
    one_of,
)
from keras_archs.layers.squeeze_excitation import squeeze_excite
from keras_archs.layers.tensorflow_style import Constants, conv_bn, depthwise_bn, slim_initializer
from keras_archs.models.architecture import architecture


@dataclass(frozen=True)
class Stage:
    """Rows of Table 1 with the same number of filters; only the first block has the stride."""

    stride: int
    filters: int
    repeats: int
    """Number of blocks."""


SIZE = BASELINE_SIZE
STEM = 32
STAGES = (
    Stage(stride=1, filters=64, repeats=1),
    Stage(stride=2, filters=128, repeats=2),
    Stage(stride=2, filters=256, repeats=2),
    Stage(stride=2, filters=512, repeats=6),
    # Table 1 prints stride 2 for both depthwise convolutions, but the second keeps its 7x7: its stride is 1.
    Stage(stride=2, filters=1024, repeats=2),
)
CONSTANTS = Constants(slim_initializer, momentum=0.9997)


def block(
    x: keras.KerasTensor, filters: int, stride: int, *, separable: bool, se_ratio: float | None, name: str
) -> keras.KerasTensor:
    """Apply a depthwise separable convolution (figure 3, right) or the full convolution that it replaces (left)."""
    if separable:
        x = depthwise_bn(x, 3, stride, "relu6", CONSTANTS, name=f"{name}_depthwise")
        x = conv_bn(x, filters, 1, 1, "relu6", CONSTANTS, name=f"{name}_pointwise")
    else:
        x = conv_bn(x, filters, 3, stride, "relu6", CONSTANTS, name=name)
    if se_ratio:
        x = squeeze_excite(
            x,
            hidden=max(1, int(se_ratio * filters)),
            activation="relu",
            kernel_initializer=slim_initializer,
            name=f"{name}_se",
        )
    return x


def stage(
    x: keras.KerasTensor, row: Stage, *, alpha: float, separable: bool, se_ratio: float | None, name: str
) -> keras.KerasTensor:
    """Apply the blocks of one stage."""
    filters = scaled_filters(row.filters, alpha)
    for number in range(1, row.repeats + 1):
        stride = row.stride if number == 1 else 1
        x = block(x, filters, stride, separable=separable, se_ratio=se_ratio, name=f"{name}_block{number}")
    return x


def scaled_filters(filters: int, alpha: float) -> int:
    """Scale a number of channels as TF-slim does: rounded down, and at least 8.

    keras.applications has no lower bound and timm rounds to multiples of 8. The three agree at the published widths
    (0.25, 0.5, 0.75 and 1), but not at 0.35, for instance.
    """
    return max(int(filters * alpha), 8)


def scaled_size(rho: float) -> int:
    """Return height and width of the default input in pixels; rounded, so that the paper's 0.714 means 160 pixels."""
    return round_size(SIZE, rho)


class CommonOptions(ClassifierOptions, total=False):
    """Arguments of `MobileNet` and `ScaledMobileNet`."""

    separable: Annotated[
        bool,
        Option(
            True,
            "Whether convolutions are depthwise separable; True, or False for the network of full 3x3 convolutions "
            "that the paper compares with (Table 4).",
            one_of(True, False),
        ),
    ]
    dropout_rate: Annotated[DropoutRate, Override(default=0.001)]
    se_ratio: SeRatio


class MobileNetOptions(CommonOptions, total=False):
    """Arguments of `MobileNet`."""

    alpha: Alpha
    rho: Annotated[
        float,
        Option(
            1.0,
            "Resolution multiplier: without input_shape, images have 224 * rho pixels a side. That must be a "
            "multiple of 32, so rho is 1 (224), 6/7 (192), 5/7 (160), 4/7 (128) or another multiple of 1/7.",
            lambda rho: is_positive(rho) and scaled_size(rho) >= 32 and scaled_size(rho) % 32 == 0,
        ),
    ]


class ScaledMobileNetOptions(CommonOptions, ScalingOptions, total=False):
    """Arguments of `ScaledMobileNet`."""


def mobilenet(options: CommonOptions, *, alpha: float, rho: float, depth: float = 1.0) -> keras.Model:
    """Build stem, stages and head (Table 1)."""
    prefix = options["prefix"]
    images = image_input(scaled_size(rho), options)
    x = conv_bn(images, scaled_filters(STEM, alpha), 3, 2, "relu6", CONSTANTS, name=f"{prefix}stem")
    x = endpoint(x, f"{prefix}stem")
    for number, row in enumerate(STAGES, start=1):
        x = stage(
            x,
            replace(row, repeats=round_repeats(row.repeats, depth)),
            alpha=alpha,
            separable=options["separable"],
            se_ratio=options["se_ratio"],
            name=f"{prefix}stage{number}",
        )
        x = endpoint(x, f"{prefix}stage{number}")
    x = classification_head(x, options, dropout_rate=options["dropout_rate"], kernel_initializer=slim_initializer())
    return model_of(images, x, options)


@architecture(MobileNetOptions)
def MobileNet(**options: Unpack[MobileNetOptions]) -> keras.Model:
    """MobileNet for images of 224 * rho pixels, with alpha times the channels (Tables 1, 6 and 7)."""
    return mobilenet(options, alpha=options["alpha"], rho=options["rho"])


@architecture(ScaledMobileNetOptions)
def ScaledMobileNet(**options: Unpack[ScaledMobileNetOptions]) -> keras.Model:
    """MobileNet at any scale: grown by compound scaling (Tan & Le 2019, section 5.1); its width is alpha."""
    return mobilenet(options, alpha=options["width"], rho=options["resolution"], depth=options["depth"])


@architecture(MobileNetOptions, se_ratio=1 / 16)
def SEMobileNet(**options: Unpack[MobileNetOptions]) -> keras.Model:
    """MobileNet with squeeze-and-excitation after every block (Hu et al. 2017, section 6.1)."""
    return mobilenet(options, alpha=options["alpha"], rho=options["rho"])
