"""The same network without models inside it, so that every layer's output belongs to one graph."""

from collections.abc import Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import keras

from keras_archs.layers.output_path import is_graph

_FLAT: "WeakKeyDictionary[keras.Model, keras.Model]" = WeakKeyDictionary()
"""Flat networks by the network: a layer remembers each graph that it is in, so one graph per network is built."""


def flat_network(model: keras.Model) -> keras.Model:
    """Return the same network, of the same layers, whose functional and sequential models inside are taken apart.

    Args:
        model: A functional or built sequential model.

    Returns:
        The model itself if it contains no models, else a functional model that shares the layers.
    """
    if not any(is_graph(layer) for layer in model.layers):
        return model
    if model not in _FLAT:
        inputs = [keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype) for tensor in model.inputs]
        _FLAT[model] = keras.Model(inputs, _apply(model, inputs), name=model.name)
    return _FLAT[model]


def results(model: keras.Model) -> Iterator[tuple[keras.Operation, keras.KerasTensor]]:
    """Return each operation that the outputs of a network depend on with its result, in an order of computation.

    Args:
        model: A functional or built sequential model; see `flat_network` for a model that contains models.
    """
    for node in _nodes(model):
        for tensor in node.outputs:
            yield node.operation, tensor


def _nodes(model: keras.Model) -> Iterator[Any]:
    """Return the calls of operations that make up the graph between inputs and outputs, in an order of computation."""
    known = {id(image) for image in model.inputs}
    waiting = list(model.outputs)
    while waiting:
        if id(waiting[-1]) in known:
            waiting.pop()
            continue
        operation, index, _ = waiting[-1]._keras_history
        node = operation._inbound_nodes[index]
        if unknown := [source for source in node.input_tensors if id(source) not in known]:
            waiting += unknown
        else:
            known |= {id(tensor) for tensor in node.outputs}
            yield node


def _apply(model: keras.Model, inputs: Sequence[keras.KerasTensor]) -> list[keras.KerasTensor]:
    """Return the outputs of a model whose operations, and those of models inside, are called one by one."""
    values = {id(image): tensor for image, tensor in zip(model.inputs, inputs, strict=True)}
    for node in _nodes(model):
        args, kwargs = node.arguments.fill_in(values)
        if is_graph(node.operation):
            outputs = _apply(node.operation, keras.tree.flatten(args))
        else:
            outputs = keras.tree.flatten(node.operation(*args, **kwargs))
        values |= {id(tensor): output for tensor, output in zip(node.outputs, outputs, strict=True)}
    return [values[id(tensor)] for tensor in model.outputs]
