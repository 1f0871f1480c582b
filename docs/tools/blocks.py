"""Graphs of building blocks, read from networks as they are built."""

# ruff: noqa: RUF001 (the multiplication sign stands between sizes)

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import keras
from keras import layers

from keras_archs.layers import GroupedConv2D, StochasticResidual

INPUT = "input"
ACTIVATIONS = {
    "relu": "ReLU",
    "relu6": "ReLU6",
    "silu": "SiLU",
    "sigmoid": "sigmoid",
    "hard_silu": "hard swish",
    "hard_sigmoid": "hard sigmoid",
}
"""Names of activations in pictures, by their names in Keras."""
_CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D, GroupedConv2D)
_POOLINGS = (layers.MaxPooling2D, layers.AveragePooling2D)


@dataclass(frozen=True)
class Node:
    """One box of a picture: a layer, with the normalisation and the activation that follow."""

    key: str
    kind: str
    """``"input"``, ``"conv"``, ``"depthwise"``, ``"norm"``, ``"pool"``, ``"join"``, ``"drop"`` or ``"other"``."""
    title: str
    shape: tuple[int | None, ...]
    """Shape of the output without the batch axis: height, width, channels."""
    inputs: tuple[str, ...] = ()
    """Keys of the nodes that this node reads, in the order of the layer's arguments."""
    notes: tuple[str, ...] = field(default=())
    """Normalisation and activation after the layer."""


@dataclass
class _Step:
    """One call of a layer, with the tensors that it reads and makes."""

    layer: Any
    inputs: list[Any]
    output: Any


def block(model: keras.Model, pattern: str) -> list[Node]:
    """Return the graph of one block.

    Args:
        model: A functional network; its weights need no values.
        pattern: Regular expression that the names of the block's layers match from the start.

    Returns:
        Nodes in the order of computation. The first is the block's input; normalisation and activation are
        merged into the layer before them.

    Raises:
        ValueError: If no layer matches.
    """
    steps = [
        step
        for layer in model.layers
        if re.match(pattern, layer.name)
        for step in _steps(layer, _tensors(layer.input), layer.output)
    ]
    if not steps:
        raise ValueError(f"{model.name!r} has no layers named like {pattern!r}")
    return _merged(_nodes(steps))


def _tensors(inputs: Any) -> list[Any]:
    return list(inputs) if isinstance(inputs, list | tuple) else [inputs]


def _steps(layer: keras.Layer, inputs: list[Any], output: Any) -> Iterator[_Step]:
    """Yield the layer itself; for a block that stochastic depth drops per mini-batch, yield the layers inside."""
    if not isinstance(layer, StochasticResidual):
        yield _Step(layer, inputs, output)
        return
    x, shortcut = inputs
    inner = layer.branch
    for part in inner.layers:
        if not isinstance(part, layers.InputLayer):
            read = [x if tensor is inner.inputs[0] else tensor for tensor in _tensors(part.input)]
            yield _Step(part, read, part.output)
    yield _Step(layer, [inner.outputs[0], shortcut], output)


def _nodes(steps: Sequence[_Step]) -> list[Node]:
    keys: dict[int, str] = {}
    nodes: list[Node] = []

    def key(tensor: Any) -> str:
        if id(tensor) not in keys:
            keys[id(tensor)] = name = (
                INPUT if not any(node.kind == "input" for node in nodes) else f"{INPUT}{len(keys)}"
            )
            nodes.insert(0, Node(name, "input", "", tuple(tensor.shape[1:])))
        return keys[id(tensor)]

    for step in steps:
        inputs = tuple(key(tensor) for tensor in step.inputs)
        if _transparent(step.layer):
            keys[id(step.output)] = inputs[0]
            continue
        keys[id(step.output)] = step.layer.name
        kind, title, notes = _described(step.layer)
        nodes.append(Node(step.layer.name, kind, title, tuple(step.output.shape[1:]), inputs, notes))
    return nodes


def _transparent(layer: Any) -> bool:
    """Whether a layer changes no number that a reader looks for: padding before a convolution, and identities."""
    pads_channels = isinstance(layer, layers.ZeroPadding2D) and layer.data_format == "channels_first"
    return isinstance(layer, layers.Identity) or (isinstance(layer, layers.ZeroPadding2D) and not pads_channels)


def _described(layer: Any) -> tuple[str, str, tuple[str, ...]]:
    """Return kind, title and notes of a layer's box."""
    for kinds, description in _DESCRIPTIONS.items():
        if isinstance(layer, kinds):
            return description(layer)
    return "other", "zero channels" if isinstance(layer, layers.ZeroPadding2D) else type(layer).__name__, ()


def _convolution(layer: Any) -> tuple[str, str, tuple[str, ...]]:
    depthwise = isinstance(layer, layers.DepthwiseConv2D)
    groups = getattr(layer, "groups", 1)
    title = f"{'depthwise' if depthwise else 'conv'} {'×'.join(map(str, layer.kernel_size))}"
    title += "" if depthwise else f", {layer.filters}"
    notes = [f"{groups} groups"] if groups > 1 else []
    notes += [*_stride(layer), *filter(None, [_activation(layer.activation)])]
    return "depthwise" if depthwise else "conv", title, tuple(notes)


def _pooling(layer: Any) -> tuple[str, str, tuple[str, ...]]:
    word = "max" if isinstance(layer, layers.MaxPooling2D) else "avg"
    return "pool", f"{word} pool {'×'.join(map(str, layer.pool_size))}", tuple(_stride(layer))


def _stride(layer: Any) -> list[str]:
    stride = max(layer.strides) if isinstance(layer.strides, tuple) else layer.strides
    return [f"stride {stride}"] if stride > 1 else []


def _activation(function: Any) -> str:
    name = getattr(function, "__name__", str(function))
    return "" if name == "linear" else ACTIVATIONS.get(name, name)


_DESCRIPTIONS: dict[Any, Callable[[Any], tuple[str, str, tuple[str, ...]]]] = {
    _CONVOLUTIONS: _convolution,
    _POOLINGS: _pooling,
    layers.BatchNormalization: lambda _: ("norm", "BN", ()),
    layers.ReLU: lambda layer: ("norm", "ReLU6" if layer.max_value == 6 else "ReLU", ()),
    layers.Activation: lambda layer: ("norm", _activation(layer.activation), ()),
    layers.GlobalAveragePooling2D: lambda _: ("pool", "global avg pool", ()),
    layers.Add: lambda _: ("join", "+", ()),
    layers.Multiply: lambda _: ("join", "× per channel", ()),
    layers.Concatenate: lambda _: ("join", "concatenate", ()),
    StochasticResidual: lambda layer: ("join", "+", ("branch dropped with", f"p = {layer.rate:.2g} per mini-batch")),
    layers.Dropout: lambda layer: (
        "drop",
        "stochastic depth" if layer.noise_shape else "dropout",
        (f"p = {layer.rate:.2g}",),
    ),
}
"""What a box says of a layer, by the layer's class."""


def _merged(nodes: list[Node]) -> list[Node]:
    """Write normalisation and activation into the box before them, unless its output is read elsewhere too."""
    result: dict[str, Node] = {}
    renamed: dict[str, str] = {}
    readers = [key for node in nodes for key in node.inputs]
    for node in nodes:
        inputs = tuple(renamed.get(key, key) for key in node.inputs)
        before = result.get(inputs[0]) if inputs else None
        if node.kind == "norm" and before and before.kind != "input" and readers.count(node.inputs[0]) == 1:
            result[before.key] = replace(before, notes=(*before.notes, node.title))
            renamed[node.key] = before.key
        else:
            result[node.key] = replace(node, inputs=inputs)
    return list(result.values())
