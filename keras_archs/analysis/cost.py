"""What a network costs, computed from its graph: parameters, multiply-adds, activations, memory traffic.

The convention: one multiply-add per multiplication in a convolution or a dense layer, and nothing else: no
normalisation, activation, pooling, addition or bias. (ResNet-50 then costs 4.09 billion at 224 pixels.)

``python -m keras_archs.analysis.cost`` writes the table that the model cards read.
"""

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from keras_archs.analysis.extras import import_extra
from keras_archs.analysis.receptive_field import Field, field_after
from keras_archs.analysis.weightless import weightless
from keras_archs.layers import Recomputed, StochasticResidual
from keras_archs.registry import create_model, list_models

if TYPE_CHECKING:
    import pandas as pd

COSTS = Path(__file__).parents[1] / "cards" / "costs.csv"
HEAD = "head"
"""The stage of what comes after the last feature map."""
_FLOAT32 = 4


@dataclass(frozen=True)
class LayerCost:
    """One use of a layer."""

    name: str
    kind: str
    """Class of the layer, e.g. ``"Conv2D"``."""
    stage: str
    """Size of the feature maps that it works at, e.g. ``"56x56"``; `HEAD` after the last of them."""
    output_shape: tuple[int | None, ...]
    parameters: int
    """Trainable or not. A layer that is used twice has them in both entries, the network only once."""
    macs: int | None
    """Multiply-adds for one image; None if we do not know what the layer does."""
    activations: int
    """Numbers in the output, for one image."""
    bytes_moved: int
    """Bytes of inputs, weights and output in float32, for one image: what is read and written if nothing is fused."""
    receptive_field: tuple[int, ...] | None
    """Pixels that one number of the output depends on, per direction; None where they are all, or not known. Gates of
    squeeze-and-excitation, which depend on all, do not count."""


@dataclass(frozen=True)
class StageCost:
    """All layers that work at one size of feature maps."""

    stage: str
    layers: int
    parameters: int
    macs: int | None
    activations: int
    bytes_moved: int


@dataclass(frozen=True)
class Cost:
    """Cost of a network, layer by layer in the order of computation; ``print`` shows it as a table."""

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
        return _sum_or_none(layer.macs for layer in self.layers)

    @property
    def activations(self) -> int:
        """Numbers in all outputs together, for one image."""
        return sum(layer.activations for layer in self.layers)

    @property
    def bytes_moved(self) -> int:
        """Bytes that all layers read and write, for one image in float32."""
        return sum(layer.bytes_moved for layer in self.layers)

    @property
    def unknown(self) -> tuple[LayerCost, ...]:
        """The layers whose multiply-adds are not known."""
        return tuple(layer for layer in self.layers if layer.macs is None)

    @property
    def stages(self) -> tuple[StageCost, ...]:
        """The same cost by the size of the feature maps, in the order of computation."""
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
        """Return a row per layer, with the fields of `LayerCost` as columns. Unknown is ``<NA>``, not 0.

        Raises:
            ModuleNotFoundError: Without pandas, which the extra ``analysis`` installs.
        """
        pandas = import_extra("pandas", "analysis")
        table: pd.DataFrame = pandas.DataFrame([asdict(layer) for layer in self.layers])
        return table.astype({"macs": "Int64"})

    def __str__(self) -> str:
        """A row per stage, and the totals."""
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
        # In notebooks rich would show the table by itself, and colour the text.
        Console(file=text, width=120, force_jupyter=False, force_terminal=False).print(table)
        notes = [f"unknown: {layer.name} ({layer.kind})" for layer in self.unknown]
        return "\n".join(line.rstrip() for line in (*text.getvalue().splitlines(), *notes) if line.strip())


def _cell(value: object) -> str:
    return "unknown" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _sum_or_none(numbers: Iterable[int | None]) -> int | None:
    known = list(numbers)
    return None if None in known else sum(n for n in known if n is not None)


def profile(model: keras.Model, input_shape: tuple[int, ...] | None = None) -> Cost:
    """Compute what a functional or sequential model costs.

    Args:
        model: Any such Keras model with one input, not only of this package; models inside it are taken apart as well.
        input_shape: Input to compute the cost for, without the batch; None for the model's own. A model built
            for any size needs it.

    Returns:
        The cost. The multiply-adds of layers that we do not know are None, and so is then the total.

    Raises:
        ValueError: If the model is of another kind, or the size of its input is not known.
    """
    inputs = getattr(model, "inputs", None)
    if inputs is None or len(inputs) != 1:
        raise ValueError(f"profile() takes functional and sequential models with one input, not {model.name!r}")
    shape = known_shape(model, input_shape)
    # A clone, so that the model's own graph stays as it is; stateless, so that no weights are made for it.
    with weightless():
        walk = _Walk()
        walk.run(model, [keras.Input(shape, dtype=inputs[0].dtype)], [Field.of_image(shape)])
    return Cost(_with_stages(walk.uses), _size(model.trainable_weights), _size(model.non_trainable_weights))


def known_shape(model: keras.Model, input_shape: tuple[int, ...] | None) -> tuple[int, ...]:
    """Return the shape of a model's input, without the batch: the one that was asked for, or the model's own.

    Raises:
        ValueError: If none was asked for, and the model is for any size.
    """
    shape = tuple(model.inputs[0].shape[1:]) if input_shape is None else tuple(input_shape)
    if None in shape:
        raise ValueError(f"{model.name!r} takes inputs of any size, {shape}: say which with input_shape=...")
    return shape


class _Walk:
    """Runs clones of models on symbolic inputs, and notes what each layer does."""

    def __init__(self) -> None:
        self.uses: list[LayerCost] = []
        self.fields: dict[int, tuple[keras.KerasTensor, Field | None]] = {}
        """What each tensor sees, by the tensor's identity; the tensors are kept, so that those stay theirs."""

    def run(
        self, model: keras.Model, inputs: Sequence[keras.KerasTensor], fields: Sequence[Field | None]
    ) -> Field | None:
        """Note the layers of ``model`` on ``inputs``, and return what its output sees."""
        for tensor, field in zip(inputs, fields, strict=True):
            self._remember(tensor, field)
        if isinstance(model, keras.Sequential):
            (outputs,) = inputs
            for layer in model.layers:
                outputs = self._call(layer.__class__.from_config(layer.get_config()), outputs)
        else:
            structured = keras.tree.pack_sequence_as(model.input, inputs)
            # A clone of a compiled model would be compiled as well, with an optimiser's variables.
            uncompiled = keras.Model(model.input, model.output)
            outputs = keras.models.clone_model(uncompiled, input_tensors=structured, call_function=self._call).output
        return self._field(keras.tree.flatten(outputs)[0])

    def _call(self, layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        outputs = layer(*args, **kwargs)
        inputs = [tensor for tensor in keras.tree.flatten((args, kwargs)) if isinstance(tensor, keras.KerasTensor)]
        fields = [self._field(tensor) for tensor in inputs]
        inner = layer.branch if isinstance(layer, StochasticResidual | Recomputed) else layer
        if getattr(inner, "inputs", None) is not None:  # a model within the model
            entering = len(inner.inputs)  # the shortcut of a residual block does not
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
        parameters=_size(weights),
        macs=_macs(layer, inputs, outputs),
        activations=activations,
        bytes_moved=_FLOAT32 * (read + _size(weights) + activations),
        receptive_field=field.size if field else None,
    )


def _macs(layer: keras.Layer, inputs: Sequence[keras.KerasTensor], outputs: keras.KerasTensor) -> int | None:
    rule = next((rule for kinds, rule in _RULES if isinstance(layer, kinds)), None)
    if rule:
        return rule(layer, inputs[0] if inputs else outputs, outputs)
    if isinstance(layer, layers.Layer):
        return None
    return None if type(layer).__name__ in _PRODUCTS else 0


def _with_stages(uses: Sequence[LayerCost]) -> tuple[LayerCost, ...]:
    """Name the stages. Borders, and what has no height and width, stand in a stage or after all of them."""

    def size(use: LayerCost) -> str:
        sides = use.output_shape[1:-1]
        if use.kind.startswith(("ZeroPadding", "Cropping")) or all(side == 1 for side in sides):
            return ""
        return "x".join(map(str, sides))

    sizes = [size(use) for use in uses]
    last = max((place for place, name in enumerate(sizes) if name), default=-1)
    named, stage = [], next(filter(None, sizes), HEAD)
    for place, (use, name) in enumerate(zip(uses, sizes, strict=True)):
        stage = HEAD if place > last else name or stage
        named.append(replace(use, stage=stage))
    return tuple(named)


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


_ELEMENTWISE: tuple[type, ...] = tuple(
    getattr(layers, name)
    for name in """
        Activation ELU Identity InputLayer LeakyReLU Masking PReLU ReLU Softmax
        BatchNormalization GroupNormalization LayerNormalization Normalization RMSNormalization UnitNormalization
        Rescaling Resizing CenterCrop
        Add Average Concatenate Maximum Minimum Multiply Subtract
        AveragePooling1D AveragePooling2D AveragePooling3D MaxPooling1D MaxPooling2D MaxPooling3D
        GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
        GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D
        Cropping1D Cropping2D Cropping3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
        UpSampling1D UpSampling2D UpSampling3D Flatten Permute RepeatVector Reshape
        ActivityRegularization AlphaDropout Dropout GaussianDropout GaussianNoise
        SpatialDropout1D SpatialDropout2D SpatialDropout3D
    """.split()  # noqa: SIM905  # a list of strings would be a page
)

_RULES: tuple[tuple[tuple[type, ...], Callable[..., int]], ...] = (
    ((layers.Conv1D, layers.Conv2D, layers.Conv3D), _convolution),
    ((layers.DepthwiseConv1D, layers.DepthwiseConv2D), _depthwise),
    ((layers.SeparableConv1D, layers.SeparableConv2D), _separable),
    ((layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose), _transposed),
    ((layers.Dense,), _dense),
    # Nothing by the convention: they move numbers, compare them, or multiply them elementwise.
    (_ELEMENTWISE, _none),
)

_PRODUCTS = {"Conv", "ConvTranspose", "DepthwiseConv", "SeparableConv", "Dot", "DotProductAttention", "Einsum"} | {
    "Inner",
    "Matmul",
    "Outer",
    "Tensordot",
    "Vdot",
}
"""Bare operations that multiply and add; `keras.ops` has no others."""


def published_costs() -> list[dict[str, str | int]]:
    """Compute the rows of the table that the model cards read, one per model of the registry."""
    return [_published_cost(name) for name in list_models()]


def _published_cost(name: str) -> dict[str, str | int]:
    # None of the variables need values here, and the large networks have many.
    with weightless():
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
