"""The end of a network, read from its graph: which operations lead to its output, and what the output therefore means.

The last entry of ``model.layers`` says little about the output: operations of `keras.ops` are no layers, the head may
be a model inside the model, and several branches may have a last layer. So the path is traced back from the output
tensor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple, TypeAlias

import keras
from keras import layers

Activation: TypeAlias = Literal["softmax", "sigmoid", "linear"]
"""What turns logits into the output of a classifier; "linear" if the output is the logits."""

Enclosing: TypeAlias = tuple[tuple[keras.Model, keras.KerasTensor], ...]
"""Models inside a model, outermost first, each with the tensor that it is applied to."""

_FUNCTIONS: dict[Activation, tuple[Any, ...]] = {
    "softmax": (keras.activations.softmax, keras.ops.softmax),
    "sigmoid": (keras.activations.sigmoid, keras.ops.sigmoid),
    "linear": (keras.activations.linear,),
}
_IDENTITIES = (
    layers.Identity,
    layers.ActivityRegularization,
    layers.Dropout,
    layers.SpatialDropout1D,
    layers.SpatialDropout2D,
    layers.SpatialDropout3D,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.AlphaDropout,
)
"""Layers that return their input, outside training."""
_AFFINE = (layers.Dense, layers.EinsumDense, layers.Conv1D, layers.Conv2D, layers.Conv3D)
"""Layers that compute weighted sums, to which they apply their activation."""
_POOLINGS = (layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D, layers.GlobalAveragePooling3D)


@dataclass(frozen=True, eq=False)
class Step:
    """An operation on the path to a model's output.

    Attributes:
        operation: A layer, or an operation of `keras.ops`.
        source: The tensor that the operation takes; None if it takes several tensors, or none.
        result: The tensor that the operation returns.
        enclosing: The models inside the model that contain the operation; empty for an operation of the model itself.
    """

    operation: keras.Operation
    source: keras.KerasTensor | None
    result: keras.KerasTensor
    enclosing: Enclosing = ()


def steps(model: keras.Model) -> Iterator[Step]:
    """Trace the output of a model back, from the last operation to the input.

    A model inside the model, functional or sequential, contributes its own operations. The path ends before the
    model's input, or with an operation that takes several tensors.

    Args:
        model: A functional or built sequential model with one output.
    """
    return _steps(model, 0, ())


def _steps(model: keras.Model, output_index: int, enclosing: Enclosing) -> Iterator[Step]:
    tensor = model.outputs[output_index]
    while not any(tensor is image for image in model.inputs):
        operation, node_index, tensor_index = tensor._keras_history
        sources = operation._inbound_nodes[node_index].input_tensors
        if len(sources) != 1:
            yield Step(operation, None, tensor, enclosing)
            return
        if is_graph(operation):
            yield from (inner := list(_steps(operation, tensor_index, (*enclosing, (operation, sources[0])))))
            if inner and inner[-1].source is None:
                return
        else:
            yield Step(operation, sources[0], tensor, enclosing)
        tensor = sources[0]


def is_graph(operation: keras.Operation) -> bool:
    """Whether calling the operation runs the graph from its inputs to its outputs; a subclass may do otherwise."""
    runs = isinstance(operation, keras.Model) and type(operation).call in (keras.Sequential.call, _functional().call)
    return runs and bool(getattr(operation, "inputs", None))


@cache
def _functional() -> type[keras.Model]:
    """Return Keras' class of functional models, which has no public name."""
    tensor = keras.Input((1,), name="images")
    kind: type[keras.Model] = type(keras.Model(tensor, tensor, name="model"))
    return kind


def in_graph_of_model(tensors: Sequence[keras.KerasTensor], enclosing: Enclosing) -> list[keras.KerasTensor]:
    """Return tensors of a model inside a model as tensors of the outer model, from which `keras.Model` can be built.

    Args:
        tensors: Sources or results of steps with the same `enclosing`.
        enclosing: The models that contain the tensors, as in `Step`.
    """
    found = list(tensors)
    for model, applied_to in reversed(enclosing):
        found = keras.tree.flatten(keras.Model(model.inputs, found)(applied_to))
    return found


def output_activation(model: keras.Model) -> Activation:
    """Prove what a classifier's output is.

    Args:
        model: A functional or built sequential model with one output of shape [N, classes].

    Returns:
        "softmax" if a softmax over the classes ends the path to the output: the output is probabilities that add up
        to 1. "sigmoid" if a sigmoid ends the path: each class has a probability of its own. "linear" if a dense or
        convolutional layer without activation ends the path: the output is logits.

    Raises:
        ValueError: The path ends otherwise, so that nothing is proven; the message names the operation that was found.
    """
    normalised = None  # a batch normalisation that follows
    for step in steps(model):
        if _keeps_values(step) or _averages_positions(step):
            continue
        if _is(step.operation, layers.BatchNormalization):
            normalised = step.operation
            continue
        activation = _activation(step)
        if activation is None or (normalised is not None and activation != "linear"):
            raise ValueError(
                f"the output of {model.name!r} ends in {_describe(normalised or step.operation)}, which does not say "
                "whether the output is probabilities or logits"
            )
        if activation != "linear" or _is(step.operation, *_AFFINE):
            return activation
    raise ValueError(f"the output of {model.name!r} is its input: no classifier is on the path between them")


class PooledClassifier(NamedTuple):
    """End of a network that has class activation maps: a dense layer upon the means of feature maps.

    Attributes:
        feature_maps: The feature maps [N, rows, columns, D], a tensor of the model's graph.
        head: The dense layer. The mean of ``feature_maps @ head.kernel`` over all positions, plus the bias, is the
            logits.
    """

    feature_maps: keras.KerasTensor
    head: keras.Layer


def pooled_classifier(model: keras.Model) -> PooledClassifier | None:
    """Return the feature maps and the dense layer at the end of a network; None unless the path proves both.

    Dropout, casts and the like may stand between them, and a softmax or sigmoid behind the dense layer.
    """
    head = classifier(model)
    if head is None or not _is(head.operation, layers.Dense) or getattr(head.operation, "quantization_mode", None):
        return None
    path = iter(steps(model))
    for step in path:
        if step.result is head.result:
            break
    for step in path:
        if step.source is not None and _averages_positions(step) and len(step.source.shape) == 4:
            return PooledClassifier(in_graph_of_model([step.source], step.enclosing)[0], head.operation)
        if not _keeps_values(step):
            break
    return None


def classifier(model: keras.Model) -> Step | None:
    """Return the step that computes the logits: a dense or convolutional layer, apart from its own activation.

    None if more than casts, dropout and the like and one softmax or sigmoid follow the layer, or if there is no such
    layer.
    """
    activated = False
    for step in steps(model):
        if _keeps_values(step):
            continue
        activation = _activation(step)
        if activation is None or (activated and activation != "linear"):
            return None
        if _is(step.operation, *_AFFINE):
            return step
        activated = True
    return None


def _keeps_values(step: Step) -> bool:
    """Whether a step returns the numbers of each class as they are, outside training."""
    operation, source, result = step.operation, step.source, step.result
    if source is None:
        return False
    if _is(operation, layers.Flatten, layers.Reshape) or _is_op(operation, "reshape", "squeeze", "expand_dims"):
        return _only_classes(source) and _only_classes(result) and source.shape[-1] == result.shape[-1]
    if _is_op(operation, "cast"):
        return "float" in result.dtype
    return (
        _is(operation, *_IDENTITIES)
        or _is_op(operation, "stop_gradient")
        or (_is(operation, layers.Activation) and _named(operation.activation, result) == "linear")
    )


def _only_classes(tensor: keras.KerasTensor) -> bool:
    """Whether the last axis is the only axis of each image with several entries."""
    return all(size == 1 for size in tensor.shape[1:-1]) and len(tensor.shape) > 1


def _averages_positions(step: Step) -> bool:
    """Whether a step takes the mean over all positions of [N, ..., C]; a mean of probabilities is probabilities."""
    operation, source = step.operation, step.source
    if source is None:
        return False
    rank = len(source.shape)
    if _is_op(operation, "mean"):
        axes = operation.axis if isinstance(operation.axis, (list, tuple)) else [operation.axis]
        return None not in axes and sorted(axis % rank for axis in axes) == list(range(1, rank - 1)) and rank > 2
    return _is(operation, *_POOLINGS) and operation.data_format == "channels_last"


def _activation(step: Step) -> Activation | None:
    """Return the activation that a step applies to the classes, "linear" for none; None if it does something else."""
    operation = step.operation
    function = operation.activation if _is(operation, layers.Activation, *_AFFINE) else operation
    return None if step.source is None else _named(function, step.result)


def _named(function: Any, result: keras.KerasTensor) -> Activation | None:
    """Return the name of the activation of the last axis that a function, layer or operation is; None if it is none."""
    if _is(function, layers.Softmax) or _is_op(function, "softmax"):
        return "softmax" if function.axis in (-1, len(result.shape) - 1) else None
    if _is_op(function, "sigmoid"):
        return "sigmoid"
    return next((name for name, same in _FUNCTIONS.items() if any(function is each for each in same)), None)


def _is(operation: keras.Operation, *classes: type[keras.Layer]) -> bool:
    """Whether an operation is of one of these classes, or of a subclass that computes the same."""
    return any(isinstance(operation, kind) and type(operation).call is kind.call for kind in classes)


def _is_op(operation: keras.Operation, *names: str) -> bool:
    """Whether an operation is one of these functions of `keras.ops`."""
    return any(isinstance(operation, _op_class(name)) for name in names)


@cache
def _op_class(name: str) -> type[keras.Operation]:
    """Return the class of the operation that a function of `keras.ops` adds to a graph."""
    arguments: dict[str, tuple[Any, ...]] = {"cast": ("float32",), "reshape": ((-1, 2),), "expand_dims": (-1,)}
    result = getattr(keras.ops, name)(keras.KerasTensor((None, 1, 2)), *arguments.get(name, ()))
    operation = result._keras_history.operation
    kind: type[keras.Operation] = type(operation)
    return kind


def _describe(operation: keras.Operation) -> str:
    activation = getattr(operation, "activation", None)
    name = getattr(activation, "__name__", type(activation).__name__) if activation is not None else None
    return f"{type(operation).__name__} {operation.name!r}" + (f" with the activation {name}" if name else "")
