"""Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications" (2017).

Every convolution but the first is factored into one filter per channel and a 1x1 convolution that mixes the
channels (section 3.1). Two numbers trade accuracy for speed: alpha thins every layer (section 3.3), rho makes
the image smaller (section 3.4).

Constants that the paper does not print are TF-slim's, the authors' implementation. keras.applications differs in
its padding of odd sizes, which is not SAME there, and in initialisation and the momentum of normalisation.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Unpack

import keras

from keras_archs.cards.scaling import round_repeats, round_size
from keras_archs.layers.heads import classification_head, image_input, model_of
from keras_archs.layers.options import (
    BASELINE_SIZE,
    ClassifierOptions,
    Option,
    ScalingOptions,
    is_fraction,
    is_positive,
    is_ratio_or_none,
    one_of,
)
from keras_archs.layers.squeeze_excitation import squeeze_excite
from keras_archs.layers.tensorflow_style import conv_bn, depthwise_bn
from keras_archs.models.architecture import architecture


@dataclass(frozen=True)
class Stage:
    """Rows of Table 1 with as many filters: ``repeats`` blocks, of which the first has the stride."""

    stride: int
    filters: int
    repeats: int


SIZE = BASELINE_SIZE
STEM = 32
STAGES = (
    Stage(stride=1, filters=64, repeats=1),
    Stage(stride=2, filters=128, repeats=2),
    Stage(stride=2, filters=256, repeats=2),
    Stage(stride=2, filters=512, repeats=6),
    # Table 1 gives both depthwise convolutions stride 2, but the second keeps its 7x7: its stride is 1.
    Stage(stride=2, filters=1024, repeats=2),
)


def scaled_filters(filters: int, alpha: float) -> int:
    """Thin a layer as TF-slim does: rounded down, and never below 8 channels.

    keras.applications has no lower bound, timm rounds to multiples of 8: the three agree at the published
    widths (0.25, 0.5, 0.75 and 1) and not, for instance, at 0.35.
    """
    return max(int(filters * alpha), 8)


def scaled_size(rho: float) -> int:
    """Height and width of the default input; rounded, so that the paper's 0.714 stands for 160 pixels."""
    return round_size(SIZE, rho)


class CommonOptions(ClassifierOptions, total=False):
    """The arguments of MobileNet, however its size is given."""

    separable: Annotated[
        bool,
        Option(
            True,
            "Whether convolutions are factored; True, or False for the network of full 3x3 convolutions that "
            "the paper compares with (Table 4).",
            one_of(True, False),
        ),
    ]
    dropout_rate: Annotated[
        float, Option(0.001, "Dropout before the classifier; at least 0 and less than 1.", is_fraction)
    ]
    se_ratio: Annotated[
        float | None,
        Option(
            None,
            "Channels inside squeeze-and-excitation after each block, relative to the block's; positive, or 0 "
            "or None for none.",
            is_ratio_or_none,
        ),
    ]


class MobileNetOptions(CommonOptions, total=False):
    """The arguments of MobileNet."""

    alpha: Annotated[
        float, Option(1.0, "Width multiplier: factor on every layer's number of channels; positive.", is_positive)
    ]
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
    """The arguments of MobileNet at any scale."""


def _initializer() -> keras.initializers.Initializer:
    return keras.initializers.TruncatedNormal(stddev=0.09)


_conv_bn = partial(conv_bn, kernel_initializer=_initializer, momentum=0.9997)
_depthwise_bn = partial(depthwise_bn, kernel_initializer=_initializer, momentum=0.9997)


def _block(
    x: keras.KerasTensor, filters: int, stride: int, *, separable: bool, se_ratio: float | None, name: str
) -> keras.KerasTensor:
    """Depthwise separable convolution (figure 3, right) or the full one that it stands for (left)."""
    if separable:
        x = _depthwise_bn(x, 3, stride, "relu6", name=f"{name}_depthwise")
        x = _conv_bn(x, filters, 1, 1, "relu6", name=f"{name}_pointwise")
    else:
        x = _conv_bn(x, filters, 3, stride, "relu6", name=name)
    if se_ratio:
        x = squeeze_excite(
            x,
            hidden=max(1, int(se_ratio * filters)),
            activation="relu",
            kernel_initializer=_initializer,
            name=f"{name}_se",
        )
    return x


def _stage(
    x: keras.KerasTensor, stage: Stage, *, alpha: float, separable: bool, se_ratio: float | None, name: str
) -> keras.KerasTensor:
    """The blocks of one stage."""
    for block in range(1, stage.repeats + 1):
        x = _block(
            x,
            scaled_filters(stage.filters, alpha),
            stride=stage.stride if block == 1 else 1,
            separable=separable,
            se_ratio=se_ratio,
            name=f"{name}_block{block}",
        )
    return x


def _mobilenet(*, alpha: float, rho: float, depth: float = 1.0, **options: Unpack[CommonOptions]) -> keras.Model:
    """Stem, stages, head."""
    prefix = options["prefix"]
    images = image_input(scaled_size(rho), options)
    x = _conv_bn(images, scaled_filters(STEM, alpha), 3, 2, "relu6", name=f"{prefix}stem")
    stages = [replace(stage, repeats=round_repeats(stage.repeats, depth)) for stage in STAGES]
    for number, stage in enumerate(stages, start=1):
        x = _stage(
            x,
            stage,
            alpha=alpha,
            separable=options["separable"],
            se_ratio=options["se_ratio"],
            name=f"{prefix}stage{number}",
        )
    x = classification_head(x, options, dropout_rate=options["dropout_rate"], kernel_initializer=_initializer())
    return model_of(images, x, options)


@architecture(MobileNetOptions)
def MobileNet(**options: Unpack[MobileNetOptions]) -> keras.Model:
    """MobileNet for images of 224 * rho pixels, with alpha times the channels (Tables 1, 6 and 7)."""
    return _mobilenet(**options)


def _at_scale(*, width: float, depth: float, resolution: float, **options: Unpack[CommonOptions]) -> keras.Model:
    return _mobilenet(alpha=width, rho=resolution, depth=depth, **options)


@architecture(ScaledMobileNetOptions)
def ScaledMobileNet(**options: Unpack[ScaledMobileNetOptions]) -> keras.Model:
    """MobileNet at any scale: grown by compound scaling (Tan & Le 2019, section 5.1); its width is alpha."""
    return _at_scale(**options)


@architecture(MobileNetOptions, se_ratio=1 / 16)
def SEMobileNet(**options: Unpack[MobileNetOptions]) -> keras.Model:
    """MobileNet with squeeze-and-excitation after every block (Hu et al. 2017, section 6.1)."""
    return _mobilenet(**options)
