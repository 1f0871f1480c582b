"""Load a source's tensors into a network: names, conversions, and the parts that the network has otherwise.

A network may differ from the published one in its first and its last layer: another number of channels, another number
of classes, no classifier. It may also multiply its residual branches at inference (stochastic depth per mini-batch).
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from keras_archs.weights.assignment import Assignment, matched
from keras_archs.weights.fingerprint import branch_factors, fingerprint, fingerprint_of, named
from keras_archs.weights.maps.conversions import Values
from keras_archs.weights.maps.name_map import Layers, NameMap, Tensors

if TYPE_CHECKING:
    import keras

CLASSIFIER = "predictions"
"""Name of every network's classifier."""
RGB = 3
"""Channels of the images that published weights were trained on."""
_LINEAR = {"kernel", "bias", "gamma", "beta"}
"""Variables of a layer in which its output is linear."""


@dataclass(frozen=True)
class Source:
    """What is known of a source's tensors besides their values."""

    names: NameMap
    classes: int
    """Number of classes of its classifier."""
    channel_order: Literal["rgb", "bgr"] = "rgb"


@dataclass(frozen=True)
class Loaded:
    """What loading did to a network."""

    fingerprint: str
    """Fingerprint of all weights of the model (`keras_archs.weights.fingerprint`)."""
    untrained: Mapping[str, str]
    """Layers whose weights do not come from the source, by name, with the fingerprint of their values."""
    adapted: tuple[str, ...]
    """Layers whose weights were computed from the source's for another number of channels."""


def load_tensors(model: "keras.Model", tensors: Tensors, source: Source, *, prefix: str = "") -> Loaded:
    """Assign tensors to the layers of a network; a classifier with another number of classes keeps its initial values.

    Args:
        model: A network of this package, with or without its classifier, for images of any number of channels.
        tensors: All tensors of the source, by name.
        source: How the tensors are named and ordered.
        prefix: Prefix of the network's layer names.

    Raises:
        CheckpointError: If a tensor or variable is missing or left over, or shapes differ; no variable changes.
        ValueError: If stochastic depth per mini-batch is combined with squeeze-and-excitation.
    """
    stem, pairs = _matched(model, tensors, source, prefix)
    for variable, value in pairs:
        variable.assign(value)

    assigned = {id(variable) for variable, _ in pairs}
    rest = [variable for variable in model.weights if id(variable) not in assigned]
    return Loaded(
        fingerprint=fingerprint(named([*pairs, *((variable, variable) for variable in rest)], model, prefix)),
        untrained={
            layer.name: fingerprint_of(layer)
            for layer in layers_of(model).values()
            if any(id(variable) not in assigned for variable in layer.weights)
        },
        adapted=(stem.name,) if stem is not None and stem.kernel.shape[2] != RGB else (),
    )


def fingerprint_to_be(model: "keras.Model", tensors: Tensors, source: Source) -> str:
    """Return the fingerprint of the values that `load_tensors` would assign; arguments and errors are the same.

    The variables of the network need no values.
    """
    _, pairs = _matched(model, tensors, source, prefix="")
    return fingerprint((variable.path, value) for variable, value in pairs)


def _matched(
    model: "keras.Model", tensors: Tensors, source: Source, prefix: str
) -> "tuple[keras.Layer | None, list[tuple[keras.Variable, NDArray[np.float32]]]]":
    """Return the network's first convolution, and every variable to assign with its values."""
    layers = layers_of(model, prefix)
    assignments = list(source.names.assignments(layers))
    renamed = source.names.rename(tensors, [assignment.tensor for assignment in assignments])
    ignored = {name for name in renamed if name.endswith(".num_batches_tracked")}
    if CLASSIFIER not in layers:
        ignored |= {name for name in renamed if name.startswith(source.names.top)}
    elif layers[CLASSIFIER].kernel.shape[-1] != source.classes:
        fresh = {id(variable) for variable in layers.pop(CLASSIFIER).weights}
        ignored |= {assignment.tensor for assignment in assignments if id(assignment.variable) in fresh}
        assignments = [assignment for assignment in assignments if id(assignment.variable) not in fresh]
    stem = _stem(layers, assignments)
    adjustments = _adjustments(stem, layers, source.channel_order, _inference_factors(model))
    pairs = matched(
        (variable for layer in layers.values() for variable in layer.weights),
        {name: tensor for name, tensor in renamed.items() if name not in ignored},
        [_adjusted(assignment, adjustments.get(id(assignment.variable), ())) for assignment in assignments],
    )
    return stem, pairs


def layers_of(model: "keras.Model", prefix: str = "") -> dict[str, "keras.Layer"]:
    """Return the layers of a network by name without the prefix, in the network's order.

    In place of a layer that holds a branch of the network as a model, the layers of the branch are returned.

    Args:
        model: The network.
        prefix: Start of the names of the layers to return.
    """
    return {layer.name.removeprefix(prefix): layer for layer in _flat(model) if layer.name.startswith(prefix)}


def _flat(model: "keras.Model") -> Iterator["keras.Layer"]:
    for layer in model.layers:
        branch = getattr(layer, "branch", None)  # of a BranchLayer; `layers` and `weights` do not know each other
        if branch is None:
            yield layer
        else:
            yield from _flat(branch)


def _inference_factors(model: "keras.Model") -> dict[str, float]:
    """Return the factors by which inference multiplies branches, by the name of each branch's last layer."""
    holders = {name: model.get_layer(name) for name in branch_factors(model)}
    if without := [name for name, holder in holders.items() if not holder.branch.layers[-1].weights]:
        raise ValueError(
            f"the branches {', '.join(without)} end in squeeze-and-excitation, and published weights fit such branches "
            'only without their factor at inference: take drop_path_per="image"'
        )
    return {holders[name].branch.layers[-1].name: factor for name, factor in branch_factors(model).items()}


def _stem(layers: Layers, assignments: list[Assignment]) -> "keras.Layer | None":
    """Return the network's first convolution; None if no convolution receives a tensor.

    Convolutions of the user's own in front of the network receive none.
    """
    receiving = {id(assignment.variable) for assignment in assignments if len(assignment.variable.shape) == 4}
    convolutions = (layer for layer in layers.values() if hasattr(layer, "kernel"))
    return next((layer for layer in convolutions if id(layer.kernel) in receiving), None)


def _adjustments(
    stem: "keras.Layer | None", layers: Layers, channel_order: str, factors: Mapping[str, float]
) -> dict[int, list[Callable[[Values], Values]]]:
    """Return, by the variable's id, what to do with the values of a variable after their conversion."""
    adjustments: dict[int, list[Callable[[Values], Values]]] = {}
    for layer in layers.values():
        if layer.name in factors:
            for variable in layer.weights:
                if variable.name in _LINEAR:
                    adjustments[id(variable)] = [partial(_divided, by=factors[layer.name])]
    if stem is None:
        return adjustments
    at_stem = adjustments.setdefault(id(stem.kernel), [])
    if channel_order == "bgr":
        at_stem.append(lambda kernel: kernel[:, :, ::-1])
    if (channels := stem.kernel.shape[2]) != RGB:
        at_stem.append(lambda kernel: for_channels(kernel, channels))
    return adjustments


def _divided(values: Values, by: float) -> Values:
    return values / by


def _adjusted(assignment: Assignment, adjustments: "list[Callable[[Values], Values]] | tuple[()]") -> Assignment:
    def convert(tensor: NDArray[Any]) -> NDArray[Any]:
        values = assignment.convert(tensor)
        for adjust in adjustments:
            values = adjust(values)
        return values

    return assignment._replace(convert=convert)


def for_channels(kernel: Values, channels: int) -> Values:
    """Return a first convolution's kernel for images with another number of channels.

    For one channel the kernels of red, green and blue are added: the result is what three equal channels give. For
    another number they are repeated in turn and multiplied by 3 / channels, so that their sum keeps its size.

    Args:
        kernel: Kernel for RGB, of shape (height, width, 3, filters); other kernels are returned as they are.
        channels: Number of channels of the images.
    """
    if kernel.shape[2] != RGB:
        return kernel
    if channels == 1:
        summed: Values = kernel.sum(axis=2, keepdims=True)
        return summed
    repeated: Values = np.tile(kernel, (1, 1, math.ceil(channels / RGB), 1))[:, :, :channels]
    return repeated * (RGB / channels)
