"""Stochastic depth: Huang, Sun, Liu, Sedra & Weinberger, "Deep Networks with Stochastic Depth" (2016).

Training replaces randomly chosen blocks by their shortcuts for each mini-batch, later blocks more often. This saves
their computation, lets gradients reach the first layers, and trains an ensemble of shallower networks. At inference all
blocks take part, weighted by their survival probability.

`keras_archs.survival_probabilities` returns these probabilities, and `keras_archs.set_survival_probabilities` changes
them. The networks are ResNets with other defaults: every residual network takes the same arguments.
"""

from dataclasses import replace
from typing import Any, Unpack

import keras

from keras_archs.layers.options import CIFAR_CLASSES
from keras_archs.models.architecture import architecture
from keras_archs.models.resnet import RESNET, BottleneckOptions, ResidualOptions, residual_network
from keras_archs.models.resnet_cifar import RESNET_CIFAR

PUBLISHED: dict[str, Any] = {"drop_path_rate": 0.5, "drop_path_per": "batch"}
"""The last block survives with probability 0.5 (section 4)."""

# In the authors' code a shortcut that halves the image averages; ResNet's takes every second pixel.
CIFAR = {depth: replace(RESNET_CIFAR[depth], shortcut_window=2) for depth in ("110", "1202")}


@architecture(ResidualOptions, classes=CIFAR_CLASSES, **PUBLISHED)
def StochasticDepthResNet110(**options: Unpack[ResidualOptions]) -> keras.Model:
    """ResNet-110 with stochastic depth, for CIFAR's images of 32 pixels: 54 blocks (section 4, Table 1)."""
    return residual_network(CIFAR["110"], **options)


@architecture(ResidualOptions, classes=CIFAR_CLASSES, **PUBLISHED)
def StochasticDepthResNet1202(**options: Unpack[ResidualOptions]) -> keras.Model:
    """ResNet-1202 with stochastic depth, for CIFAR's images of 32 pixels: 600 blocks (section 4).

    In a program that only loads a saved one, call ``sys.setrecursionlimit(2400)`` first, as for
    `keras_archs.ResNet1202`.
    """
    return residual_network(CIFAR["1202"], **options)


@architecture(BottleneckOptions, **PUBLISHED)
def StochasticDepthResNet50(**options: Unpack[BottleneckOptions]) -> keras.Model:
    """ResNet-50 with stochastic depth, for images of 224 pixels."""
    return residual_network(RESNET["50"], **options)


@architecture(BottleneckOptions, **PUBLISHED)
def StochasticDepthResNet101(**options: Unpack[BottleneckOptions]) -> keras.Model:
    """ResNet-101 with stochastic depth, for images of 224 pixels."""
    return residual_network(RESNET["101"], **options)


@architecture(BottleneckOptions, **PUBLISHED)
def StochasticDepthResNet152(**options: Unpack[BottleneckOptions]) -> keras.Model:
    """ResNet-152 with stochastic depth, for images of 224 pixels (section 4, ImageNet)."""
    return residual_network(RESNET["152"], **options)
