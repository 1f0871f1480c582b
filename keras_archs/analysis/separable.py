"""What a depthwise separable convolution saves.

Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications" (2017), section 3.1:
a k x k convolution from M to N channels multiplies k^2 M N times at each place; a depthwise one followed by a 1x1
one k^2 M + M N times, which is 1/N + 1/k^2 as often.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import keras

from keras_archs.analysis.cost import profile
from keras_archs.analysis.weightless import weightless
from keras_archs.models.mobilenet import MobileNet

_DEPTHWISE = "_depthwise_conv"


@dataclass(frozen=True)
class SeparableCost:
    """Multiply-adds of one convolution in both forms, for one image."""

    standard: int
    depthwise: int
    pointwise: int

    @property
    def separable(self) -> int:
        """Of the two parts together."""
        return self.depthwise + self.pointwise

    @property
    def ratio(self) -> Fraction:
        """Part of the multiply-adds that is left, exactly: 1/N + 1/k^2."""
        return Fraction(self.separable, self.standard)

    @property
    def saved(self) -> Fraction:
        """Part of the multiply-adds that is saved."""
        return 1 - self.ratio


def separable_cost(kernel: int, in_channels: int, out_channels: int, size: int) -> SeparableCost:
    """Count a convolution's multiply-adds in both forms by the formula (Howard et al. 2017, equations 2 to 5).

    Args:
        kernel: Side k of the window.
        in_channels: M.
        out_channels: N.
        size: Side of the output feature map.

    Returns:
        The counts; their ``ratio`` is 1/N + 1/k^2, whatever M and the size are.

    Raises:
        ValueError: For anything but integers of at least 1.
    """
    arguments = {"kernel": kernel, "in_channels": in_channels, "out_channels": out_channels, "size": size}
    if bad := {name: n for name, n in arguments.items() if not isinstance(n, int) or isinstance(n, bool) or n < 1}:
        raise ValueError(f"separable_cost() takes integers of at least 1; got {bad}")
    places = size * size
    return SeparableCost(
        standard=places * kernel**2 * in_channels * out_channels,
        depthwise=places * kernel**2 * in_channels,
        pointwise=places * in_channels * out_channels,
    )


def mobilenet_savings(**arguments: Any) -> dict[str, SeparableCost]:
    """Count, on the real layers, what each block of MobileNet costs, and what it costs in its standard twin.

    Args:
        **arguments: Of `keras_archs.MobileNet`, e.g. ``alpha=0.5``.

    Returns:
        The counts by the blocks' names, in the order of computation (the paper's Table 4 has their sum).
    """
    with weightless():  # counting needs no values
        separable, standard = (_macs(MobileNet(**arguments, separable=factored)) for factored in (True, False))
    blocks = [name.removesuffix(_DEPTHWISE) for name in separable if name.endswith(_DEPTHWISE)]
    return {
        block: SeparableCost(
            standard[f"{block}_conv"], separable[f"{block}{_DEPTHWISE}"], separable[f"{block}_pointwise_conv"]
        )
        for block in blocks
    }


def _macs(model: keras.Model) -> dict[str, int]:
    return {layer.name: layer.macs for layer in profile(model).layers if layer.macs is not None}
