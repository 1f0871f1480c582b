"""From the values of Torch's tensors to those of Keras' variables: the order of the axes.

Torch kernels are (out, in, height, width), Keras kernels (height, width, in, out); with groups, ``in`` counts the
channels of one group in both.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from keras_archs.weights.assignment import Assignment
from keras_archs.weights.maps.name_map import Layers

if TYPE_CHECKING:
    import keras

Values = NDArray[Any]


def unchanged(values: Values) -> Values:
    """Return a vector, or a kernel that is in Keras' order already."""
    return values


def convolution(kernel: Values) -> Values:
    """Return a convolution's kernel in Keras' order."""
    return kernel.transpose(2, 3, 1, 0)


def depthwise(kernel: Values) -> Values:
    """Return a depthwise convolution's kernel, (channels, 1, height, width) in Torch, in Keras' order."""
    return kernel.transpose(2, 3, 0, 1)


def dense(kernel: Values) -> Values:
    """Return a dense layer's kernel, (out, in) or a 1x1 convolution's (out, in, 1, 1) in Torch, in Keras' order."""
    return (kernel[:, :, 0, 0] if kernel.shape[2:] == (1, 1) else kernel).transpose(1, 0)


def normalisation(module: str, layer: "keras.Layer") -> Iterator[Assignment]:
    """Yield the four tensors of a Torch normalisation."""
    yield Assignment(f"{module}.weight", layer.gamma, unchanged)
    yield Assignment(f"{module}.bias", layer.beta, unchanged)
    yield Assignment(f"{module}.running_mean", layer.moving_mean, unchanged)
    yield Assignment(f"{module}.running_var", layer.moving_variance, unchanged)


def module(name: str, layer: "keras.Layer") -> Iterator[Assignment]:
    """Yield the tensors of the Torch module that computes what a layer computes.

    Args:
        name: Name of the module.
        layer: A normalisation, a convolution or a dense layer.
    """
    if hasattr(layer, "gamma"):
        yield from normalisation(name, layer)
        return
    depthwise_layer = hasattr(layer, "depth_multiplier")
    convert = dense if layer.kernel.ndim == 2 else depthwise if depthwise_layer else convolution
    yield Assignment(f"{name}.weight", layer.kernel, convert)
    if layer.use_bias:
        yield Assignment(f"{name}.bias", layer.bias, unchanged)


def modules(names: Mapping[str, str], layers: Layers) -> Iterator[Assignment]:
    """Yield the tensors of the Torch modules that have these names by the names of our layers.

    Args:
        names: Name of a module by name of the layer that computes the same; layers that the network lacks are ignored.
        layers: Layers of the network.
    """
    for name, layer in layers.items():
        if name in names:
            yield from module(names[name], layer)
