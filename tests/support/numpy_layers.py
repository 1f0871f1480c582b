"""Layers in NumPy, for independent implementations of networks from their papers. Tensors are channels-last."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Weights = NDArray[np.float32]


def convolution(x: Array, kernel: Weights, stride: int = 1) -> Array:
    """Convolve with "same" padding; in groups if the kernel has fewer input channels than ``x``."""
    groups = x.shape[-1] // kernel.shape[2]
    if groups > 1:
        parts = zip(np.split(x, groups, axis=-1), np.split(kernel, groups, axis=-1), strict=True)
        return np.concatenate([convolution(channels, filters, stride) for channels, filters in parts], axis=-1)
    size, (_, height, width, _) = len(kernel), x.shape
    x = np.pad(x, [(0, 0), (size // 2,) * 2, (size // 2,) * 2, (0, 0)])
    shifts = [(i, j) for i in range(size) for j in range(size)]
    return np.asarray(
        sum(
            np.tensordot(x[:, i : i + height : stride, j : j + width : stride], kernel[i, j], axes=1) for i, j in shifts
        )
    )


def normalisation(x: Array, gamma: Weights, beta: Weights, mean: Weights, variance: Weights) -> Array:
    """Apply batch normalisation in inference, with Torch's epsilon of 1e-5."""
    return np.asarray((x - mean) / np.sqrt(variance + 1e-5) * gamma + beta)


def relu(x: Array) -> Array:
    """Set negative numbers to zero."""
    return np.maximum(x, 0)


def classifier(x: Array, kernel: Weights, bias: Weights) -> Array:
    """Return the logits after global average pooling and a dense layer."""
    return np.asarray(x.mean(axis=(1, 2)) @ kernel + bias)
