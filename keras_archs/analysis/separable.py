"""Multiply-adds that a depthwise separable convolution saves.

Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications" (2017), section 3.1:
at each position a k x k convolution from M to N channels needs k^2 M N multiply-adds; a depthwise k x k convolution
followed by a 1x1 convolution needs k^2 M + M N, a fraction of 1/N + 1/k^2.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import keras

from keras_archs.analysis.cost import profile
from keras_archs.analysis.weightless import weightless
from keras_archs.layers.options import is_positive_integer, plain
from keras_archs.models.mobilenet import MobileNet

_DEPTHWISE = "_depthwise_conv"


@dataclass(frozen=True)
class SeparableCost:
    """Multiply-adds of a convolution in its standard and its separable form, for one image."""

    standard: int
    """Multiply-adds of the standard k x k convolution."""
    depthwise: int
    """Multiply-adds of the depthwise k x k convolution."""
    pointwise: int
    """Multiply-adds of the 1x1 convolution behind the depthwise convolution."""

    @property
    def separable(self) -> int:
        """Multiply-adds of the separable form: depthwise plus pointwise."""
        return self.depthwise + self.pointwise

    @property
    def ratio(self) -> Fraction:
        """Exact fraction of the multiply-adds that the separable form needs: 1/N + 1/k^2."""
        return Fraction(self.separable, self.standard)

    @property
    def saved(self) -> Fraction:
        """Exact fraction of the multiply-adds that the separable form saves: 1 - 1/N - 1/k^2."""
        return 1 - self.ratio


def separable_cost(kernel: int, in_channels: int, out_channels: int, size: int) -> SeparableCost:
    """Compute a convolution's multiply-adds in both forms by the formula (Howard et al. 2017, equations 2 to 5).

    Args:
        kernel: Side k of the kernel; at least 1.
        in_channels: Number of input channels M; at least 1.
        out_channels: Number of output channels N; at least 1.
        size: Side of the output feature map, in positions; at least 1.

    Returns:
        The counts; their ``ratio`` is 1/N + 1/k^2 for any M and size.

    Raises:
        ValueError: If an argument is not an integer of at least 1.
    """
    # Products of NumPy's integers would overflow.
    kernel, in_channels, out_channels, size = map(plain, (kernel, in_channels, out_channels, size))
    arguments = {"kernel": kernel, "in_channels": in_channels, "out_channels": out_channels, "size": size}
    if bad := {name: n for name, n in arguments.items() if not is_positive_integer(n)}:
        raise ValueError(f"separable_cost() takes integers of at least 1; got {bad}")
    positions = size * size
    return SeparableCost(
        standard=positions * kernel**2 * in_channels * out_channels,
        depthwise=positions * kernel**2 * in_channels,
        pointwise=positions * in_channels * out_channels,
    )


def mobilenet_savings(**arguments: Any) -> dict[str, SeparableCost]:
    """Count the multiply-adds of MobileNet's blocks, and of the same blocks with standard 3x3 convolutions.

    Both are counted on the layers of built networks. Table 4 of the paper compares the two networks as wholes.

    Args:
        **arguments: Arguments of `keras_archs.MobileNet`, e.g. ``alpha=0.5``.

    Returns:
        The counts by block name, in the order of computation.
    """
    with weightless():
        separable, standard = (_macs(MobileNet(**arguments, separable=factored)) for factored in (True, False))
    blocks = [name.removesuffix(_DEPTHWISE) for name in separable if name.endswith(_DEPTHWISE)]
    return {
        block: SeparableCost(
            standard[f"{block}_conv"], separable[f"{block}{_DEPTHWISE}"], separable[f"{block}_pointwise_conv"]
        )
        for block in blocks
    }


def _macs(model: keras.Model) -> dict[str, int]:
    """Return the multiply-adds by layer name."""
    return {layer.name: layer.macs for layer in profile(model).layers if layer.macs is not None}
