"""BN-Inception: Ioffe & Szegedy, "Batch Normalization: Accelerating Deep Network Training by ..." (2015).

GoogLeNet's modules look at their input through windows of several sizes and concatenate what each finds. Here two
windows of 3x3 stand for the one of 5x5, and normalisation follows every convolution (section 4.2.1, figure 5).

In the form of the Caffe models, whose weights everybody has: pooling windows may cross the right and the lower border,
averages count the zeros beyond it, and two projections after pooling are wider than in figure 5.
"""

from dataclasses import dataclass
from typing import Annotated, Unpack

import keras
from keras import layers

from keras_archs.layers.heads import classification_head, image_input, model_of
from keras_archs.layers.options import ClassifierOptions, Option, is_ratio_or_none, one_of
from keras_archs.layers.squeeze_excitation import torch_squeeze_excite
from keras_archs.layers.torch_style import symmetric_conv, torch_bn, torch_dense
from keras_archs.models.architecture import architecture


@dataclass(frozen=True)
class Module:
    """One row of figure 5: the filters of each branch; a branch without any is not there."""

    single: tuple[int, int]
    """1x1 reduction and 3x3 convolution."""
    double: tuple[int, int]
    """1x1 reduction and two 3x3 convolutions."""
    pointwise: int = 0
    pool: str = "avg"
    projection: int = 0
    """1x1 convolution of what is pooled."""
    stride: int = 1


SIZE = 224
MODULES = {
    "3a": Module(pointwise=64, single=(64, 64), double=(64, 96), projection=32),
    "3b": Module(pointwise=64, single=(64, 96), double=(64, 96), projection=64),
    "3c": Module(single=(128, 160), double=(64, 96), pool="max", stride=2),
    "4a": Module(pointwise=224, single=(64, 96), double=(96, 128), projection=128),
    "4b": Module(pointwise=192, single=(96, 128), double=(96, 128), projection=128),
    "4c": Module(pointwise=160, single=(128, 160), double=(128, 160), projection=128),  # 96 in figure 5
    "4d": Module(pointwise=96, single=(128, 192), double=(160, 192), projection=128),  # 96 in figure 5
    "4e": Module(single=(128, 192), double=(192, 256), pool="max", stride=2),
    "5a": Module(pointwise=352, single=(192, 320), double=(160, 224), projection=128),
    "5b": Module(pointwise=352, single=(192, 320), double=(192, 224), pool="max", projection=128),
}


class InceptionOptions(ClassifierOptions, total=False):
    """The arguments of BN-Inception."""

    use_bias: Annotated[
        bool,
        Option(
            True,
            "Whether convolutions have biases, which the normalisation after them makes redundant, as in the "
            "weights of BN-Inception; True or False. Those of SE-BN-Inception are without.",
            one_of(True, False),
        ),
    ]
    se_ratio: Annotated[
        float | None,
        Option(
            None,
            "Channels inside squeeze-and-excitation after each module, relative to those that the module returns; "
            "positive, or 0 or None for none.",
            is_ratio_or_none,
        ),
    ]


def _conv_bn(
    x: keras.KerasTensor, filters: int, kernel: int, stride: int = 1, *, use_bias: bool, name: str
) -> keras.KerasTensor:
    x = symmetric_conv(x, filters, kernel, stride, use_bias=use_bias, name=f"{name}_conv")
    x = torch_bn(x, name=f"{name}_bn")
    return layers.ReLU(name=f"{name}_relu")(x)


def _ceil_max_pool(x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
    """Maximum of 3x3 at every second place, up to a window that begins on the last pixel but one."""
    x = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"{name}_pad")(x)  # after a ReLU: no maximum changes
    return layers.MaxPooling2D(3, 2, name=name)(x)


def _pool(x: keras.KerasTensor, module: Module, *, name: str) -> keras.KerasTensor:
    if module.pool == "avg":
        x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
        return layers.AveragePooling2D(3, 1, name=name)(x)
    # With a stride, of even sizes, this is the pooling of the stem; of odd ones, Caffe's would be a pixel smaller than
    # what the convolutions return, and there would be no network.
    return layers.MaxPooling2D(3, module.stride, padding="same", name=name)(x)


def _module(
    x: keras.KerasTensor, module: Module, *, use_bias: bool, se_ratio: float | None, name: str
) -> keras.KerasTensor:
    """Figure 3 of Szegedy et al. 2014, with two 3x3 convolutions for its 5x5."""

    def convolved(x: keras.KerasTensor, filters: int, kernel: int, branch: str, stride: int = 1) -> keras.KerasTensor:
        return _conv_bn(x, filters, kernel, stride, use_bias=use_bias, name=f"{name}_{branch}")

    branches = [convolved(x, module.pointwise, 1, "pointwise")] if module.pointwise else []

    reduction, filters = module.single
    single = convolved(x, reduction, 1, "single_reduce")
    branches.append(convolved(single, filters, 3, "single", module.stride))

    reduction, filters = module.double
    double = convolved(x, reduction, 1, "double_reduce")
    double = convolved(double, filters, 3, "double1")
    branches.append(convolved(double, filters, 3, "double2", module.stride))

    pooled = _pool(x, module, name=f"{name}_pool")
    branches.append(convolved(pooled, module.projection, 1, "projection") if module.projection else pooled)

    x = layers.Concatenate(name=f"{name}_concat")(branches)
    return torch_squeeze_excite(x, se_ratio, name=name)


def _inception(**options: Unpack[InceptionOptions]) -> keras.Model:
    """Stem, modules, head: figure 5."""
    prefix, use_bias, se_ratio = options["prefix"], options["use_bias"], options["se_ratio"]
    images = image_input(SIZE, options)
    x = _conv_bn(images, 64, 7, 2, use_bias=use_bias, name=f"{prefix}stem1")
    x = _ceil_max_pool(x, name=f"{prefix}stem1_pool")
    x = _conv_bn(x, 64, 1, use_bias=use_bias, name=f"{prefix}stem2_reduce")
    x = _conv_bn(x, 192, 3, use_bias=use_bias, name=f"{prefix}stem2")
    x = _ceil_max_pool(x, name=f"{prefix}stem2_pool")
    for row, module in MODULES.items():
        x = _module(x, module, use_bias=use_bias, se_ratio=se_ratio, name=f"{prefix}inception{row}")
    x = classification_head(x, options, kernel_initializer=torch_dense())
    return model_of(images, x, options)


@architecture(InceptionOptions)
def BNInception(**options: Unpack[InceptionOptions]) -> keras.Model:
    """BN-Inception for images of 224 pixels: GoogLeNet with batch normalisation (figure 5)."""
    return _inception(**options)


@architecture(InceptionOptions, se_ratio=1 / 16, use_bias=False)
def SEBNInception(**options: Unpack[InceptionOptions]) -> keras.Model:
    """SE-BN-Inception for images of 224 pixels: BN-Inception with squeeze-and-excitation (Hu et al. 2017, figure 2)."""
    return _inception(**options)
