"""What a network costs, computed from its graph: parameters, and multiply-adds for one image.

The convention: one multiply-add per multiplication in a convolution or a dense layer, and nothing else: no
normalisation, activation, pooling, addition or bias. (ResNet-50 then costs 4.09 billion at 224 pixels.)

``python -m keras_archs.cost`` writes the table that the model cards read.
"""

import csv
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
from keras import layers

from keras_archs.layers import Recomputed, StochasticResidual
from keras_archs.registry import create_model, list_models

COSTS = Path(__file__).parent / "data" / "costs.csv"


@dataclass(frozen=True)
class LayerCost:
    """One use of a layer."""

    name: str
    kind: str
    """Class of the layer, e.g. ``"Conv2D"``."""
    output_shape: tuple[int | None, ...]
    parameters: int
    """Trainable or not. A layer that is used twice has them in both entries, the network only once."""
    macs: int | None
    """Multiply-adds for one image; None if the layer holds weights of which we do not know the use."""


@dataclass(frozen=True)
class Cost:
    """Cost of a network, layer by layer in the order of computation."""

    layers: tuple[LayerCost, ...]
    trainable: int
    non_trainable: int

    @property
    def parameters(self) -> int:
        """Trainable and non-trainable parameters, as ``keras.Model.count_params`` counts them."""
        return self.trainable + self.non_trainable

    @property
    def macs(self) -> int | None:
        """Multiply-adds for one image; None if they are unknown of some layer."""
        macs = [layer.macs for layer in self.layers]
        return None if None in macs else sum(n for n in macs if n is not None)


def profile(model: keras.Model, input_shape: tuple[int, ...] | None = None) -> Cost:
    """Compute what a functional or sequential model costs.

    Args:
        model: Any such Keras model with one input; models inside it are taken apart as well.
        input_shape: Input to compute the cost for, without the batch; None for the model's own. A model built
            for any size needs it.

    Returns:
        The cost; its ``macs`` are None if a layer's are unknown.

    Raises:
        ValueError: If the model is of another kind, or the size of its input is not known.
    """
    inputs = getattr(model, "inputs", None)
    if inputs is None or len(inputs) != 1:
        raise ValueError(f"profile() takes functional and sequential models with one input, not {model.name!r}")
    shape = tuple(inputs[0].shape[1:]) if input_shape is None else tuple(input_shape)
    if None in shape:
        raise ValueError(f"{model.name!r} takes inputs of any size, {shape}: say which with input_shape=...")
    # A clone, so that the model's own graph stays as it is; stateless, so that no weights are made for it.
    with keras.StatelessScope(initialize_variables=False):
        uses = _uses(model, [keras.Input(shape, dtype=inputs[0].dtype)])
    return Cost(tuple(uses), _size(model.trainable_weights), _size(model.non_trainable_weights))


def _uses(model: keras.Model, inputs: list[keras.KerasTensor]) -> list[LayerCost]:
    """Run a clone of ``model`` on symbolic inputs and note what each layer does."""
    uses: list[LayerCost] = []

    def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        outputs = layer(*args, **kwargs)
        tensors = keras.tree.flatten(args)
        inner = layer.branch if isinstance(layer, StochasticResidual | Recomputed) else layer
        if getattr(inner, "inputs", None) is not None:  # a model within the model
            entering = tensors[: len(inner.inputs)]  # the shortcut of a residual block does not
            uses.extend(_uses(inner, [keras.Input(batch_shape=x.shape, dtype=x.dtype) for x in entering]))
        else:
            uses.append(_layer_cost(layer, tensors[0], keras.tree.flatten(outputs)[0]))
        return outputs

    if isinstance(model, keras.Sequential):
        (x,) = inputs
        for layer in model.layers:
            x = call(layer.__class__.from_config(layer.get_config()), x)
    else:
        structured = keras.tree.pack_sequence_as(model.input, inputs)
        keras.models.clone_model(model, input_tensors=structured, call_function=call)
    return uses


def _layer_cost(layer: keras.Layer, inputs: keras.KerasTensor, outputs: keras.KerasTensor) -> LayerCost:
    weights = getattr(layer, "weights", [])  # a bare operation, such as keras.ops.add, has none
    rule = next((rule for kinds, rule in _RULES if isinstance(layer, kinds)), None)
    if rule:
        macs: int | None = rule(layer, inputs, outputs)
    else:
        macs = None if weights else 0
    return LayerCost(layer.name, type(layer).__name__, tuple(outputs.shape), _size(weights), macs)


def _size(weights: Iterable[keras.Variable]) -> int:
    return sum(math.prod(variable.shape) for variable in weights)


def _positions(tensor: keras.KerasTensor, channels: int) -> int:
    """Pixels of one image; like this, wherever the channels' axis is."""
    elements: int = math.prod(tensor.shape[1:])
    return elements // channels


def _convolution(layer: keras.Layer, _: keras.KerasTensor, outputs: keras.KerasTensor) -> int:
    # The kernel's shape is (..., channels per group, filters): groups need no care.
    return _positions(outputs, layer.filters) * _size([layer.kernel])


def _depthwise(layer: keras.Layer, _: keras.KerasTensor, outputs: keras.KerasTensor) -> int:
    *_window, channels, multiplier = layer.kernel.shape
    return _positions(outputs, channels * multiplier) * _size([layer.kernel])


def _separable(layer: keras.Layer, _: keras.KerasTensor, outputs: keras.KerasTensor) -> int:
    return _positions(outputs, layer.filters) * _size([layer.depthwise_kernel, layer.pointwise_kernel])


def _transposed(layer: keras.Layer, inputs: keras.KerasTensor, _: keras.KerasTensor) -> int:
    return _positions(inputs, layer.kernel.shape[-1]) * _size([layer.kernel])


def _dense(layer: keras.Layer, _: keras.KerasTensor, outputs: keras.KerasTensor) -> int:
    return _positions(outputs, layer.units) * _size([layer.kernel])


def _none(*_: Any) -> int:
    return 0


_RULES: tuple[tuple[tuple[type, ...], Callable[..., int]], ...] = (
    ((layers.Conv1D, layers.Conv2D, layers.Conv3D), _convolution),
    ((layers.DepthwiseConv1D, layers.DepthwiseConv2D), _depthwise),
    ((layers.SeparableConv1D, layers.SeparableConv2D), _separable),
    ((layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose), _transposed),
    ((layers.Dense,), _dense),
    # Hold weights, and multiply elementwise at most: nothing by the convention.
    (
        (
            layers.BatchNormalization,
            layers.GroupNormalization,
            layers.LayerNormalization,
            layers.Normalization,
            layers.PReLU,
        ),
        _none,
    ),
)


def published_costs() -> list[dict[str, str | int]]:
    """Compute the rows of the table that the model cards read, one per model of the registry."""
    return [_published_cost(name) for name in list_models()]


def _published_cost(name: str) -> dict[str, str | int]:
    # None of the variables need values here, and the large networks have many.
    with keras.StatelessScope(initialize_variables=False):
        model = create_model(name)
        result = profile(model)
    if result.macs is None:
        raise ValueError(f"{name} has layers whose multiply-adds are unknown")
    _, height, width, _ = model.input_shape
    return {
        "name": name,
        "height": height,
        "width": width,
        "trainable": result.trainable,
        "non_trainable": result.non_trainable,
        "macs": result.macs,
    }


def main() -> None:
    """Write the table."""
    rows = published_costs()
    with COSTS.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    main()
