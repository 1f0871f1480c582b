"""Cost of a network, computed from its graph: parameters, multiply-adds, activations, memory traffic.

The convention: one multiply-add per multiplication in a convolution or a dense layer. Normalisations, activations,
pooling, additions and biases count nothing. ResNet-50 then costs 4.09 billion multiply-adds at 224 pixels. The cost of
a layer or operation that is not listed in `keras_archs.analysis.multiply_adds` is unknown.

``python -m keras_archs.analysis.cost`` writes the tables that the model cards read.
"""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from keras_archs.analysis.extras import import_extra
from keras_archs.analysis.multiply_adds import copies_nothing, is_covered, multiply_adds, size
from keras_archs.analysis.receptive_field import Field, field_after
from keras_archs.analysis.weightless import weightless
from keras_archs.layers import Recomputed, StochasticResidual
from keras_archs.layers.output_path import is_graph
from keras_archs.registry import create_model, list_models, list_weights, model_card

if TYPE_CHECKING:
    import pandas as pd

COSTS = Path(__file__).parents[1] / "cards" / "costs.csv"
COSTS_WITH_WEIGHTS = COSTS.with_name("costs_with_weights.csv")
HEAD = "head"
"""Stage of the layers behind the last feature map."""
_FLOAT32 = 4


@dataclass(frozen=True)
class LayerCost:
    """Cost of one use of a layer."""

    name: str
    kind: str
    """Class of the layer, e.g. ``"Conv2D"``."""
    stage: str
    """Height and width of the feature maps, e.g. ``"56x56"``; `HEAD` for layers behind the last feature map."""
    output_shape: tuple[int | None, ...]
    parameters: int
    """Number of parameters, trainable or not. A layer that is used twice lists its parameters in both entries; the
    network's total counts them once."""
    macs: int | None
    """Multiply-adds for one image; None if unknown, e.g. for a custom layer or a ``Lambda``."""
    activations: int
    """Numbers in the output, for one image."""
    bytes_moved: int
    """Bytes of inputs, weights and output in float32, for one image: memory traffic if no layers are fused."""
    receptive_field: tuple[int, ...] | None
    """Receptive field in pixels per direction; None where it is the whole image or unknown. Gates of
    squeeze-and-excitation, which depend on the whole image, are left out."""


@dataclass(frozen=True)
class StageCost:
    """Cost of all layers at one size of feature maps; fields as in `LayerCost`."""

    stage: str
    layers: int
    """Number of layers."""
    parameters: int
    macs: int | None
    activations: int
    bytes_moved: int


@dataclass(frozen=True)
class Cost:
    """Cost of a network; ``print`` shows it as a table of stages."""

    layers: tuple[LayerCost, ...]
    """Cost of each layer, in the order of computation."""
    trainable: int
    """Number of trainable parameters."""
    non_trainable: int
    """Number of other parameters, e.g. moving statistics."""

    @property
    def parameters(self) -> int:
        """Number of trainable and non-trainable parameters, equal to ``keras.Model.count_params()``."""
        return self.trainable + self.non_trainable

    @property
    def macs(self) -> int | None:
        """Multiply-adds for one image; None if those of any layer are unknown."""
        return _sum_or_none(layer.macs for layer in self.layers)

    @property
    def activations(self) -> int:
        """Numbers in the outputs of all layers, for one image."""
        return sum(layer.activations for layer in self.layers)

    @property
    def bytes_moved(self) -> int:
        """Bytes that all layers read and write in float32, for one image."""
        return sum(layer.bytes_moved for layer in self.layers)

    @property
    def unknown(self) -> tuple[LayerCost, ...]:
        """Layers whose multiply-adds are unknown."""
        return tuple(layer for layer in self.layers if layer.macs is None)

    @property
    def stages(self) -> tuple[StageCost, ...]:
        """Cost by the size of the feature maps, in the order of computation."""
        return tuple(
            StageCost(
                stage,
                len(members := tuple(group)),
                sum(layer.parameters for layer in members),
                _sum_or_none(layer.macs for layer in members),
                sum(layer.activations for layer in members),
                sum(layer.bytes_moved for layer in members),
            )
            for stage, group in groupby(self.layers, key=lambda layer: layer.stage)
        )

    def to_dataframe(self) -> "pd.DataFrame":
        """Return a table with a row per layer and the fields of `LayerCost` as columns; unknown numbers are ``<NA>``.

        Raises:
            ModuleNotFoundError: If pandas is not installed; the extra ``analysis`` installs it.
        """
        pandas = import_extra("pandas", "analysis")
        table: pd.DataFrame = pandas.DataFrame([asdict(layer) for layer in self.layers])
        return table.astype({"macs": "Int64"})

    def __str__(self) -> str:
        """Return a table with a row per stage, and the totals."""
        from rich import box
        from rich.console import Console
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, show_footer=True)
        total = StageCost("all", len(self.layers), self.parameters, self.macs, self.activations, self.bytes_moved)
        for heading in asdict(total):
            right: Any = "left" if heading == "stage" else "right"
            table.add_column(heading.replace("_", " "), justify=right, footer=_cell(getattr(total, heading)))
        for stage in self.stages:
            table.add_row(*map(_cell, asdict(stage).values()))
        text = io.StringIO()
        # Without these settings rich would display the table in notebooks, and colour the text.
        Console(file=text, width=120, force_jupyter=False, force_terminal=False).print(table)
        notes = [f"unknown: {layer.name} ({layer.kind})" for layer in self.unknown]
        return "\n".join(line.rstrip() for line in (*text.getvalue().splitlines(), *notes) if line.strip())


def _cell(value: object) -> str:
    return "unknown" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _sum_or_none(numbers: Iterable[int | None]) -> int | None:
    summands = list(numbers)
    return None if None in summands else sum(n for n in summands if n is not None)


def profile(model: keras.Model, input_shape: tuple[int, ...] | None = None) -> Cost:
    """Compute the cost of a model.

    Args:
        model: Any functional or sequential Keras model with one input. The layers of models inside it are listed one by
            one.
        input_shape: Shape of the input without the batch; None for the model's own. Required for a model that takes
            images of any size.

    Returns:
        The cost of inference, without layers that then return their input, such as identities and random changes of
        images. If a layer's multiply-adds are unknown, the layer and the total have None.

    Raises:
        ValueError: If the model is of another kind, or takes images of any size and ``input_shape`` is None.
    """
    if not is_graph(model) or len(model.inputs) != 1:
        raise ValueError(f"profile() takes functional and sequential models with one input, not {model.name!r}")
    shape = known_shape(model, input_shape)
    # The walk calls clones and stand-ins, so that the model's graph stays as it is; weightless clones take no memory.
    with weightless():
        walk = _Walk()
        walk.run(model, [keras.Input(shape, dtype=model.inputs[0].dtype)], [Field.of_image(shape)])
    return Cost(_with_stages(walk.uses), size(model.trainable_weights), size(model.non_trainable_weights))


def known_shape(model: keras.Model, input_shape: tuple[int, ...] | None) -> tuple[int, ...]:
    """Return ``input_shape`` or, if that is None, the shape of the model's own input; both without the batch.

    Raises:
        ValueError: If the shape has unknown sizes.
    """
    shape = tuple(model.inputs[0].shape[1:]) if input_shape is None else tuple(input_shape)
    if None in shape:
        raise ValueError(f"{model.name!r} takes inputs of any size, {shape}: give the size with input_shape=...")
    return shape


class _StandIn(keras.Operation):
    """An operation of the walk's graph with the output of another operation, which need not be clonable."""

    def __init__(self, original: keras.Operation) -> None:
        super().__init__(name=original.name)
        self.original = original

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute what the original computes."""
        return self.original(*args, **kwargs)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Return the symbolic output of the original, without adding the original to a graph."""
        return self.original.compute_output_spec(*args, **kwargs)


class _Walk:
    """Run of cloned models on symbolic inputs that records the cost of each layer."""

    def __init__(self) -> None:
        self.uses: list[LayerCost] = []
        self.fields: dict[int, tuple[keras.KerasTensor, Field | None]] = {}
        """Receptive field of each tensor by ``id(tensor)``; holds the tensors, so that Python does not reuse an id."""

    def run(
        self, model: keras.Model, inputs: Sequence[keras.KerasTensor], fields: Sequence[Field | None]
    ) -> Field | None:
        """Record the layers of ``model`` on ``inputs``, and return the receptive field of its output."""
        for tensor, field in zip(inputs, fields, strict=True):
            self._remember(tensor, field)
        if isinstance(model, keras.Sequential):
            (outputs,) = inputs
            for layer in model.layers:
                outputs = self._call(_twin(layer), outputs)
        else:
            structured = keras.tree.pack_sequence_as(model.input, inputs)
            # The clone of a compiled model would be compiled too, and have an optimiser's variables.
            uncompiled = keras.Model(model.input, model.output)
            outputs = keras.models.clone_model(
                uncompiled, input_tensors=structured, clone_function=_twin, call_function=self._call
            ).output
        return self._field(keras.tree.flatten(outputs)[0])

    def _call(self, layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        outputs = layer(*args, **kwargs)
        layer = layer.original if isinstance(layer, _StandIn) else layer
        inputs = [tensor for tensor in keras.tree.flatten((args, kwargs)) if isinstance(tensor, keras.KerasTensor)]
        fields = [self._field(tensor) for tensor in inputs]
        inner = layer.branch if isinstance(layer, StochasticResidual | Recomputed) else layer
        if copies_nothing(layer) and len(fields) == 1:
            (field,) = fields
        elif is_graph(inner):
            entering = len(inner.inputs)  # not the shortcut of a StochasticResidual, which is added behind the branch
            within = [keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype) for tensor in inputs[:entering]]
            field = Field.widest([self.run(inner, within, fields[:entering]), *fields[entering:]])
        else:
            output = keras.tree.flatten(outputs)[0]
            field = field_after(layer, inputs, output, fields)
            self.uses.append(_layer_cost(layer, inputs, output, field))
        for tensor in keras.tree.flatten(outputs):
            self._remember(tensor, field)
        return outputs

    def _remember(self, tensor: keras.KerasTensor, field: Field | None) -> None:
        self.fields[id(tensor)] = (tensor, field)

    def _field(self, tensor: keras.KerasTensor) -> Field | None:
        _, field = self.fields.get(id(tensor), (tensor, None))
        return field


def _twin(layer: keras.Operation) -> keras.Operation:
    """Return an operation that the walk can call in place of a layer or operation of the model.

    A layer that a rule covers is cloned, because its weights may have other shapes with an input of another size.
    """
    return layer.__class__.from_config(layer.get_config()) if is_covered(layer) else _StandIn(layer)


def _layer_cost(
    layer: keras.Layer, inputs: Sequence[keras.KerasTensor], outputs: keras.KerasTensor, field: Field | None
) -> LayerCost:
    weights = getattr(layer, "weights", [])  # a bare operation, such as keras.ops.add, has none
    activations = math.prod(outputs.shape[1:])
    read = sum(math.prod(tensor.shape[1:]) for tensor in inputs)
    return LayerCost(
        name=layer.name,
        kind=type(layer).__name__,
        stage="",
        output_shape=tuple(outputs.shape),
        parameters=size(weights),
        macs=multiply_adds(layer, inputs, outputs),
        activations=activations,
        bytes_moved=_FLOAT32 * (read + size(weights) + activations),
        receptive_field=field.size if field else None,
    )


def _with_stages(uses: Sequence[LayerCost]) -> tuple[LayerCost, ...]:
    """Name the stage of each layer by the size of its output.

    Padding, and layers without height and width inside a stage, belong to the stage before them.
    """

    def feature_size(use: LayerCost) -> str:
        sides = use.output_shape[1:-1]
        if use.kind.startswith(("ZeroPadding", "Cropping")) or all(side == 1 for side in sides):
            return ""
        return "x".join(map(str, sides))

    sizes = [feature_size(use) for use in uses]
    last = max((place for place, name in enumerate(sizes) if name), default=-1)
    named, stage = [], next(filter(None, sizes), HEAD)
    for place, (use, name) in enumerate(zip(uses, sizes, strict=True)):
        stage = HEAD if place > last else name or stage
        named.append(replace(use, stage=stage))
    return tuple(named)


def published_costs() -> list[dict[str, str | int]]:
    """Compute the rows of the table that the model cards read, one per model of the registry."""
    return [{"name": name, **_published_cost(name)} for name in list_models()]


def published_costs_with_weights() -> list[dict[str, str | int]]:
    """Compute the rows of the table of costs with published weights of another image size or other arguments."""
    return [
        {
            "name": entry.network,
            "weights": entry.tag,
            **_published_cost(entry.network, input_shape=(*entry.preprocessing.size, 3), **entry.arguments),
        }
        for entry in list_weights()
        if entry.arguments or entry.preprocessing.size != model_card(entry.network).cost.size
    ]


def _published_cost(name: str, **arguments: Any) -> dict[str, int]:
    with weightless():  # counting needs no values
        model = create_model(name, **arguments)
        result = profile(model)
    if result.macs is None:
        raise ValueError(f"{name} has layers whose multiply-adds are unknown")
    _, height, width, _ = model.input_shape
    return {
        "height": height,
        "width": width,
        "trainable": result.trainable,
        "non_trainable": result.non_trainable,
        "macs": result.macs,
    }


def main() -> None:
    """Write the tables to `COSTS` and `COSTS_WITH_WEIGHTS`."""
    for path, rows in ((COSTS, published_costs()), (COSTS_WITH_WEIGHTS, published_costs_with_weights())):
        with path.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
            table.writeheader()
            table.writerows(rows)


if __name__ == "__main__":
    main()
