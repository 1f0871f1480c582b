"""From the tensors of a Torch EfficientNet-Lite to the variables of `keras_archs.EfficientNetLite0` and its variants.

The names are those of efficientnet-lite-pytorch, which numbers blocks through all stages.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from keras_archs.weights.assignment import Assignment, assign_all

if TYPE_CHECKING:
    import keras

_NORMALISATION = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
# Torch kernels are (out, in, height, width), Keras kernels (height, width, in, out). Depthwise kernels are
# (channels, 1, height, width) in Torch and (height, width, channels, 1) in Keras.
_CONVOLUTION = (2, 3, 1, 0)
_DEPTHWISE = (2, 3, 0, 1)


def assign(model: "keras.Model", tensors: Mapping[str, NDArray[Any]], *, prefix: str = "") -> None:
    """Assign a state dict to a network.

    Args:
        model: The Keras network. Without its classifier, the checkpoint's classifier is ignored.
        tensors: State dict of the Torch network.
        prefix: Prefix of the model's layer names.

    Raises:
        CheckpointError: If a tensor or variable is missing or left over, or shapes differ; no variable changes.
    """
    layers = {layer.name.removeprefix(prefix): layer for layer in model.layers if layer.name.startswith(prefix)}
    ignored = set() if "predictions" in layers else {"_fc.weight", "_fc.bias"}
    used = {
        name: tensor
        for name, tensor in tensors.items()
        if name not in ignored and not name.endswith(".num_batches_tracked")
    }
    assign_all((variable for layer in layers.values() for variable in layer.weights), used, _assignments(layers))


def _assignments(layers: Mapping[str, "keras.Layer"]) -> Iterator[Assignment]:
    """Yield which tensor belongs to which variable of these layers."""
    for module, name in _modules(layers):
        layer = layers[name]
        if name.endswith("_bn"):
            for tensor, variable in _NORMALISATION.items():
                yield Assignment(f"{module}.{tensor}", getattr(layer, variable), (0,))
        elif name == "predictions":
            yield Assignment(f"{module}.weight", layer.kernel, (1, 0))
            yield Assignment(f"{module}.bias", layer.bias, (0,))
        else:
            axes = _DEPTHWISE if name.endswith("depthwise_conv") else _CONVOLUTION
            yield Assignment(f"{module}.weight", layer.kernel, axes)


def _modules(layers: Mapping[str, "keras.Layer"]) -> Iterator[tuple[str, str]]:
    """Yield the name of each Torch module and of the Keras layer that corresponds."""
    yield "_conv_stem", "stem_conv"
    yield "_bn0", "stem_bn"
    yield "_conv_head", "top_conv"
    yield "_bn1", "top_bn"
    if "predictions" in layers:
        yield "_fc", "predictions"
    blocks = [name.removesuffix("_depthwise_conv") for name in layers if name.endswith("_depthwise_conv")]
    for number, block in enumerate(blocks):
        for index, step in enumerate(("expand", "depthwise", "project")):
            if f"{block}_{step}_conv" in layers:  # the first block does not expand
                yield f"_blocks.{number}._{step}_conv", f"{block}_{step}_conv"
                yield f"_blocks.{number}._bn{index}", f"{block}_{step}_bn"
