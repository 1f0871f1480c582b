"""Layers in NumPy, for second implementations of networks from their papers. All tensors are channels-last."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Weights = NDArray[np.float32]


def convolution(x: Array, kernel: Weights, stride: int = 1) -> Array:
    """Padded so that a stride of 1 keeps the size; in groups, if the kernel is for fewer channels."""
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
    """Of a batch, with Torch's epsilon."""
    return np.asarray((x - mean) / np.sqrt(variance + 1e-5) * gamma + beta)


def relu(x: Array) -> Array:
    """Nothing below zero."""
    return np.maximum(x, 0)


def classifier(x: Array, kernel: Weights, bias: Weights) -> Array:
    """Logits of the mean over height and width."""
    return np.asarray(x.mean(axis=(1, 2)) @ kernel + bias)
