"""ResNet for CIFAR of akamaster/pytorch_resnet_cifar10.

Where a shortcut widens, half of its zeros come before the channels there, and all of them after the channels here. The
second and third stage therefore compute the same channels in another order.
"""

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from keras_archs.weights.assignment import Assignment
from keras_archs.weights.maps.block_map import block_map
from keras_archs.weights.maps.conversions import Values
from keras_archs.weights.maps.name_map import Layers, NameMap
from keras_archs.weights.maps.torchvision_resnet import PARTS, STEM, block_name

Order = NDArray[np.intp] | slice

_CHANNELS = 16
"""Channels of the stem and the first stage; they double from stage to stage."""
_STAGES = 3
_SAME = slice(None)
"""Order of an image's channels, of the channels between the convolutions of a block, and of classes."""
_IN_BLOCK = re.compile(r"stage(\d)_block(\d+)_(conv[12])")

_NAMES = block_map(STEM | {"predictions": "linear"}, block_name, PARTS)


def _order(stage: int) -> NDArray[np.intp]:
    """Return, for each channel of a stage here, the channel there; stage 0 is the stem."""
    if stage <= 1:
        return np.arange(_CHANNELS)
    widened = _order(stage - 1)
    half = len(widened) // 2  # of the zeros, which are as many as the channels before
    return np.concatenate([widened + half, np.arange(half), np.arange(3 * half, 4 * half)])


def _orders(layer: str) -> tuple[Order, Order]:
    """Return the orders of the input and of the output channels of a layer."""
    if not (found := _IN_BLOCK.match(layer)):
        return (_order(_STAGES), _SAME) if layer == "predictions" else (_SAME, _SAME)
    stage, block = int(found[1]), int(found[2])
    if found[3] == "conv2":
        return _SAME, _order(stage)
    return _order(stage if block > 1 else stage - 1), _SAME


def _assignments(layers: Layers) -> Iterator[Assignment]:
    for name, layer in layers.items():
        for assignment in _NAMES.assignments({name: layer}):
            yield _reordered(assignment, *_orders(name))


def _reordered(assignment: Assignment, inputs: Order, outputs: Order) -> Assignment:
    """Return the assignment with the channels, which are the last two axes of a kernel, in the order of ours."""

    def convert(tensor: Values) -> Values:
        values = assignment.convert(tensor)
        if values.ndim > 1:
            values = values[..., inputs, :]
        return values[..., outputs]

    return assignment._replace(convert=convert)


AKAMASTER_RESNET = NameMap(_assignments, _NAMES.top)
