"""ResNeXt: Xie et al., "Aggregated Residual Transformations for Deep Neural Networks" (2016).

A third dimension beside depth and width: a block sums many thin transformations of one topology, their number
being its cardinality. As a grouped 3x3 convolution inside ResNet's bottleneck (figure 3(c)); "32x4d" is a cardinality
of 32 with 4 channels each in conv2 (Tables 1 and 2).
"""

from dataclasses import replace
from typing import Unpack

import keras

from keras_archs.builders import architecture
from keras_archs.models.resnet import RESNET, ResidualOptions, residual_network

RESNEXT = {
    "50-32x4d": replace(RESNET["50"], groups=32, width=4),
    "101-32x4d": replace(RESNET["101"], groups=32, width=4),
    "101-32x8d": replace(RESNET["101"], groups=32, width=8),
    "101-64x4d": replace(RESNET["101"], groups=64, width=4),
}


@architecture(ResidualOptions)
def ResNeXt50_32x4d(**options: Unpack[ResidualOptions]) -> keras.Model:
    """ResNeXt-50 for images of 224 pixels: cardinality 32, 4 channels each (Table 1)."""
    return residual_network(RESNEXT["50-32x4d"], **options)


@architecture(ResidualOptions)
def ResNeXt101_32x4d(**options: Unpack[ResidualOptions]) -> keras.Model:
    """ResNeXt-101 for images of 224 pixels: cardinality 32, 4 channels each, as costly as ResNet-101 (Table 3)."""
    return residual_network(RESNEXT["101-32x4d"], **options)


@architecture(ResidualOptions)
def ResNeXt101_32x8d(**options: Unpack[ResidualOptions]) -> keras.Model:
    """ResNeXt-101 for images of 224 pixels: cardinality 32, 8 channels each, twice as costly."""
    return residual_network(RESNEXT["101-32x8d"], **options)


@architecture(ResidualOptions)
def ResNeXt101_64x4d(**options: Unpack[ResidualOptions]) -> keras.Model:
    """ResNeXt-101 for images of 224 pixels: cardinality 64, 4 channels each, twice as costly (Table 4)."""
    return residual_network(RESNEXT["101-64x4d"], **options)
