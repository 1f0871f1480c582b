"""Wide ResNet: Zagoruyko & Komodakis, "Wide Residual Networks" (2016).

Width instead of depth: few wide blocks train faster than many thin ones and are as accurate. For ImageNet,
ResNet's bottlenecks with first two convolutions that are twice as wide; what a block returns stays.
"""

from dataclasses import replace
from typing import Unpack

import keras

from keras_archs.builders import architecture
from keras_archs.models.resnet import RESNET, ResidualOptions, residual_network

WIDE_RESNET = {
    "50-2": replace(RESNET["50"], width=128),
    "101-2": replace(RESNET["101"], width=128),
}


@architecture(ResidualOptions)
def WideResNet50_2(**options: Unpack[ResidualOptions]) -> keras.Model:
    """Wide ResNet-50-2 for images of 224 pixels: ResNet-50, twice as wide inside its bottlenecks."""
    return residual_network(WIDE_RESNET["50-2"], **options)


@architecture(ResidualOptions)
def WideResNet101_2(**options: Unpack[ResidualOptions]) -> keras.Model:
    """Wide ResNet-101-2 for images of 224 pixels: ResNet-101, twice as wide inside its bottlenecks."""
    return residual_network(WIDE_RESNET["101-2"], **options)
