"""Torch networks with a Keras network's weights."""

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


def _convolutions(ours: keras.Model) -> list[keras.Layer]:
    """Convolutions and their normalisations in the order in which Torch registers those of a residual block."""
    order = {"conv1": 1, "conv2": 2, "conv3": 3, "reduce": 4, "expand": 5, "shortcut": 6}

    def place(layer: keras.Layer) -> tuple[int, ...]:
        if layer.name == "stem_conv":
            return (0, 0, 0)
        stage, block, *_, unit = layer.name.split("_")
        return (int(stage.removeprefix("stage")), int(block.removeprefix("block")), order[unit])

    return sorted((layer for layer in ours.layers if isinstance(layer, keras.layers.Conv2D)), key=place)


def give_weights(ours: keras.Model, theirs: torch.nn.Module) -> None:
    """Copy by topology: the n-th convolution to the n-th, and so on; shapes and numbers must agree."""
    modules = list(theirs.modules())
    convolutions = _convolutions(ours)
    normalisations = [
        ours.get_layer(f"{layer.name}_bn") for layer in convolutions if not layer.name.endswith(("_reduce", "_expand"))
    ]
    pairs: list[tuple[torch.nn.Parameter, Any]] = []
    for module, layer in zip(
        (module for module in modules if isinstance(module, torch.nn.Conv2d)), convolutions, strict=True
    ):
        pairs.append((module.weight, np.transpose(keras.ops.convert_to_numpy(layer.kernel), (3, 2, 0, 1))))
        assert (module.bias is not None) == layer.use_bias
        if layer.use_bias:
            pairs.append((module.bias, layer.bias))
    for module, layer in zip(
        (module for module in modules if isinstance(module, torch.nn.BatchNorm2d)), normalisations, strict=True
    ):
        assert module.eps == layer.epsilon
        pairs += [(module.weight, layer.gamma), (module.bias, layer.beta)]
        pairs += [(module.running_mean, layer.moving_mean), (module.running_var, layer.moving_variance)]
    (classifier,) = (module for module in modules if isinstance(module, torch.nn.Linear))
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
