"""Copy a Keras network's weights into the same network in Torch, and compute its logits."""

from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import keras
import numpy as np
import torch
from numpy.typing import NDArray

# torchvision's compiled operators do not load beside every build of Torch. Only the registration of their fake
# implementations needs them, and no test does.
with mock.patch("torch.library.register_fake", lambda *_, **__: lambda function: function):
    import timm  # noqa: F401
    import torchvision  # noqa: F401

Floats = NDArray[np.float32]


def residual_order(layer: keras.Layer) -> tuple[int, ...]:
    """Return the position at which Torch registers a residual network's layer; shortcuts come last in their block."""
    unit = {"conv1": 1, "conv2": 2, "conv3": 3, "reduce": 4, "expand": 5, "shortcut": 6}
    first, *rest = layer.name.removesuffix("_bn").split("_")
    if first == "stem":
        return (0,)
    return (int(first.removeprefix("stage")), int(rest[0].removeprefix("block")), unit[rest[-1]])


def give_weights(ours: keras.Model, theirs: torch.nn.Module, order: Callable[[keras.Layer], Any] | None = None) -> None:
    """Copy weights by position: the n-th convolution to the n-th convolution, and so on.

    The numbers of layers and the shapes of weights must agree.

    Args:
        ours: Keras network to copy from.
        theirs: Torch network to copy into.
        order: Sort key of our layers; None if Torch registers its modules in the order of computation.
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
    """Return the logits of a Torch network in inference, for channels-last images."""
    theirs.eval()
    with torch.no_grad():
        pixels = torch.from_numpy(images.transpose(0, 3, 1, 2)).to(next(theirs.parameters()).dtype)
        outputs: Floats = theirs(pixels).numpy().astype(np.float32)
    return outputs
