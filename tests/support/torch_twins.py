"""Torch networks with a Keras network's weights."""

from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import keras
import numpy as np
import torch
from numpy.typing import NDArray

# torchvision's compiled operators do not load beside every build of Torch, and only describing them needs them.
with mock.patch("torch.library.register_fake", lambda *_, **__: lambda function: function):
    import timm  # noqa: F401
    import torchvision  # noqa: F401

Floats = NDArray[np.float32]


def residual_order(layer: keras.Layer) -> tuple[int, ...]:
    """Where Torch registers this convolution or normalisation of a residual network: a block's shortcut comes last."""
    unit = {"conv1": 1, "conv2": 2, "conv3": 3, "reduce": 4, "expand": 5, "shortcut": 6}
    first, *rest = layer.name.removesuffix("_bn").split("_")
    if first == "stem":
        return (0,)
    return (int(first.removeprefix("stage")), int(rest[0].removeprefix("block")), unit[rest[-1]])


def give_weights(ours: keras.Model, theirs: torch.nn.Module, order: Callable[[keras.Layer], Any] | None = None) -> None:
    """Copy by topology: the n-th convolution to the n-th, and so on; shapes and numbers must agree.

    Args:
        ours: The network that has the weights.
        theirs: The same in Torch.
        order: Sort key of our layers; None if theirs are registered in the order of computation.
    """

    def pairs_of(torch_kind: type, *keras_kinds: type) -> Iterator[tuple[torch.nn.Module, keras.Layer]]:
        modules = [module for module in theirs.modules() if isinstance(module, torch_kind)]
        layers = [layer for layer in ours.layers if isinstance(layer, keras_kinds)]
        return zip(modules, sorted(layers, key=order) if order else layers, strict=True)

    pairs: list[tuple[torch.nn.Parameter, Any]] = []
    for module, layer in pairs_of(torch.nn.Conv2d, keras.layers.Conv2D, keras.layers.DepthwiseConv2D):
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        kernel = keras.ops.convert_to_numpy(layer.kernel)
        pairs.append((module.weight, kernel.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))))
        assert (module.bias is not None) == layer.use_bias
        if layer.use_bias:
            pairs.append((module.bias, layer.bias))
    for module, layer in pairs_of(torch.nn.BatchNorm2d, keras.layers.BatchNormalization):
        assert module.eps == layer.epsilon
        pairs += [(module.weight, layer.gamma), (module.bias, layer.beta)]
        pairs += [(module.running_mean, layer.moving_mean), (module.running_var, layer.moving_variance)]
    (classifier,) = (module for module in theirs.modules() if isinstance(module, torch.nn.Linear))
    head = ours.get_layer("predictions")
    pairs += [(classifier.weight, keras.ops.transpose(head.kernel)), (classifier.bias, head.bias)]
    with torch.no_grad():
        for target, value in pairs:
            source = np.array(keras.ops.convert_to_numpy(value))
            assert tuple(target.shape) == source.shape
            target.copy_(torch.from_numpy(source))


def logits(theirs: torch.nn.Module, images: Floats) -> Floats:
    """What the network in inference says to channels-last images."""
    theirs.eval()
    with torch.no_grad():
        pixels = torch.from_numpy(images.transpose(0, 3, 1, 2)).to(next(theirs.parameters()).dtype)
        answer: Floats = theirs(pixels).numpy().astype(np.float32)
    return answer
