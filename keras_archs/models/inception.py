"""BN-Inception: Ioffe & Szegedy, "Batch Normalization: Accelerating Deep Network Training by ..." (2015).

GoogLeNet's modules look at their input through windows of several sizes and concatenate the results. Here two 3x3
convolutions replace the 5x5, and normalisation follows every convolution (section 4.2.1, figure 5).

In the form of the Caffe models, for which the published weights are: pooling windows may cross the right and the lower
border, averages count the zeros beyond it, and two projections after pooling are wider than in figure 5.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Unpack

import keras
from keras import layers

from keras_archs.layers import torch_style
from keras_archs.layers.endpoints import endpoint
from keras_archs.layers.heads import classification_head, image_input, model_of
from keras_archs.layers.options import ClassifierOptions, Option, Override, SeRatio, one_of
from keras_archs.layers.squeeze_excitation import torch_squeeze_excite
from keras_archs.models.architecture import architecture


@dataclass(frozen=True)
class Module:
    """One row of figure 5: the filters of each branch; 0 leaves a convolution out."""

    single: tuple[int, int]
    """Filters of the 1x1 reduction and of the 3x3 convolution."""
    double: tuple[int, int]
    """Filters of the 1x1 reduction and of the two 3x3 convolutions."""
    pointwise: int = 0
    """Filters of the 1x1 convolution."""
    pool: str = "avg"
    """Pooling: ``"avg"`` or ``"max"``."""
    projection: int = 0
    """Filters of the 1x1 convolution after pooling."""
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
    """Arguments of BN-Inception."""

    use_bias: Annotated[
        bool,
        Option(
            True,
            "Whether convolutions have biases, as in the published weights of BN-Inception; those of SE-BN-Inception "
            "have none, because the normalisation makes biases redundant. True or False.",
            one_of(True, False),
        ),
    ]
    se_ratio: Annotated[SeRatio, Override(note="Placed after each module.")]


def _pool(x: keras.KerasTensor, module: Module, *, name: str) -> keras.KerasTensor:
    if module.pool == "avg":
        x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
        return layers.AveragePooling2D(3, 1, name=name)(x)
    # With a stride and even sizes, "same" is Caffe's pooling, as in the stem. With odd sizes Caffe's result would be a
    # pixel smaller than the convolutions', so that they could not be concatenated.
    return layers.MaxPooling2D(3, module.stride, padding="same", name=name)(x)


def _module(
    x: keras.KerasTensor,
    module: Module,
    conv_bn: Callable[..., keras.KerasTensor],
    *,
    se_ratio: float | None,
    name: str,
) -> keras.KerasTensor:
    """Compute figure 3 of Szegedy et al. 2014, with two 3x3 convolutions for its 5x5."""
    branches = [conv_bn(x, module.pointwise, 1, name=f"{name}_pointwise")] if module.pointwise else []

    reduction, filters = module.single
    single = conv_bn(x, reduction, 1, name=f"{name}_single_reduce")
    branches.append(conv_bn(single, filters, 3, module.stride, name=f"{name}_single"))

    reduction, filters = module.double
    double = conv_bn(x, reduction, 1, name=f"{name}_double_reduce")
    double = conv_bn(double, filters, 3, name=f"{name}_double1")
    branches.append(conv_bn(double, filters, 3, module.stride, name=f"{name}_double2"))

    pooled = _pool(x, module, name=f"{name}_pool")
    branches.append(conv_bn(pooled, module.projection, 1, name=f"{name}_projection") if module.projection else pooled)

    x = layers.Concatenate(name=f"{name}_concat")(branches)
    return endpoint(torch_squeeze_excite(x, se_ratio, name=name), name)


def _stem(x: keras.KerasTensor, conv_bn: Callable[..., keras.KerasTensor], *, name: str) -> keras.KerasTensor:
    """Compute the rows of figure 5 above the modules, to an eighth of height and width."""
    x = conv_bn(x, 64, 7, 2, name=f"{name}1")
    x = torch_style.caffe_max_pool(endpoint(x, f"{name}1"), name=f"{name}1_pool")
    x = conv_bn(x, 64, 1, name=f"{name}2_reduce")
    x = conv_bn(x, 192, 3, name=f"{name}2")
    return torch_style.caffe_max_pool(endpoint(x, f"{name}2"), name=f"{name}2_pool")


def _inception(**options: Unpack[InceptionOptions]) -> keras.Model:
    """Assemble figure 5: stem, modules and classifier."""
    prefix = options["prefix"]
    conv_bn = partial(torch_style.conv_bn, use_bias=options["use_bias"], suffix="_conv")
    images = image_input(SIZE, options)
    x = _stem(images, conv_bn, name=f"{prefix}stem")
    for row, module in MODULES.items():
        x = _module(x, module, conv_bn, se_ratio=options["se_ratio"], name=f"{prefix}inception{row}")
    x = classification_head(x, options, kernel_initializer=torch_style.torch_dense())
    return model_of(images, x, options)


@architecture(InceptionOptions)
def BNInception(**options: Unpack[InceptionOptions]) -> keras.Model:
    """BN-Inception for images of 224 pixels: GoogLeNet with batch normalisation (figure 5)."""
    return _inception(**options)


@architecture(InceptionOptions, se_ratio=1 / 16, use_bias=False)
def SEBNInception(**options: Unpack[InceptionOptions]) -> keras.Model:
    """SE-BN-Inception for images of 224 pixels: BN-Inception with squeeze-and-excitation (Hu et al. 2017, figure 2)."""
    return _inception(**options)
