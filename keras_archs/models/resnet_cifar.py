"""ResNet for CIFAR: He et al., "Deep Residual Learning for Image Recognition" (2015), section 4.2.

Thin and deep, to study depth: of 6n+2 layers, 6n are in three stages of n blocks with two 3x3 convolutions of 16, 32
and 64 channels. No shortcut has parameters (option A), so that a network has as many as the plain network that the
paper compares it with. The paper does not say which channels of a widened shortcut are zeros: here the last, as in
fb.resnet.torch.
"""

from typing import Unpack

import keras

from keras_archs.layers.options import CIFAR_CLASSES
from keras_archs.models.architecture import architecture
from keras_archs.models.resnet import Plan, ResidualOptions, residual_network


def plan(depth: int) -> Plan:
    """Return the plan of a depth, of which the stem and the classifier are one layer each."""
    return Plan(repeats=((depth - 2) // 6,) * 3, bottleneck=False, channels=16, cifar=True, shortcut_window=1)


RESNET_CIFAR = {str(depth): plan(depth) for depth in (20, 32, 44, 56, 110, 1202)}


@architecture(ResidualOptions, classes=CIFAR_CLASSES)
def ResNet20(**options: Unpack[ResidualOptions]) -> keras.Model:
    """ResNet-20 for CIFAR's images of 32 pixels: 9 blocks of two 3x3 convolutions (Table 6)."""
    return residual_network(RESNET_CIFAR["20"], **options)


@architecture(ResidualOptions, classes=CIFAR_CLASSES)
def ResNet32(**options: Unpack[ResidualOptions]) -> keras.Model:
    """ResNet-32 for CIFAR's images of 32 pixels: 15 blocks of two 3x3 convolutions (Table 6)."""
    return residual_network(RESNET_CIFAR["32"], **options)


@architecture(ResidualOptions, classes=CIFAR_CLASSES)
def ResNet44(**options: Unpack[ResidualOptions]) -> keras.Model:
    """ResNet-44 for CIFAR's images of 32 pixels: 21 blocks of two 3x3 convolutions (Table 6)."""
    return residual_network(RESNET_CIFAR["44"], **options)


@architecture(ResidualOptions, classes=CIFAR_CLASSES)
def ResNet56(**options: Unpack[ResidualOptions]) -> keras.Model:
    """ResNet-56 for CIFAR's images of 32 pixels: 27 blocks of two 3x3 convolutions (Table 6)."""
    return residual_network(RESNET_CIFAR["56"], **options)


@architecture(ResidualOptions, classes=CIFAR_CLASSES)
def ResNet110(**options: Unpack[ResidualOptions]) -> keras.Model:
    """ResNet-110 for CIFAR's images of 32 pixels: 54 blocks of two 3x3 convolutions (Table 6)."""
    return residual_network(RESNET_CIFAR["110"], **options)


@architecture(ResidualOptions, classes=CIFAR_CLASSES)
def ResNet1202(**options: Unpack[ResidualOptions]) -> keras.Model:
    """ResNet-1202 for CIFAR's images of 32 pixels: 600 blocks of two 3x3 convolutions (Table 6).

    Keras recurses through graphs: building this network raises Python's recursion limit. In a program that only loads a
    saved one, call ``sys.setrecursionlimit(2400)`` first.
    """
    return residual_network(RESNET_CIFAR["1202"], **options)
