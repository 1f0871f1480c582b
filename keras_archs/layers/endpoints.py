"""Endpoints: the feature map that ends a stage of a network, under a name that a saved model keeps.

A family file declares each stage where it builds it, ``x = endpoint(x, f"{prefix}stage1")``. The declaration is an
``Identity`` layer in the graph: it computes nothing, and a model that was saved and loaded again still has it.
`endpoints` reads the declarations from any model.
"""

import keras
from keras import layers

_SUFFIX = "_endpoint"
_FIRST = (f"stem{_SUFFIX}", f"stem1{_SUFFIX}")
"""End of the name of every network's first endpoint; what stands before it is the network's prefix."""


def endpoint(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Declare the end of a stage.

    Args:
        x: Last feature map of the stage, of shape (batch, height, width, channels).
        name: The network's prefix and the name of the stage, e.g. ``"stage1"``.

    Returns:
        The same feature map.
    """
    return layers.Identity(name=f"{name}{_SUFFIX}")(x)


def endpoints(model: keras.Model) -> dict[str, keras.KerasTensor]:
    """Return the last feature map of each stage, in the order of computation.

    Args:
        model: A network of this package, built or loaded.

    Returns:
        Feature maps by the name of the stage, without the network's prefix; empty for a model without endpoints.
    """
    named = {layer.name: layer.output for layer in model.layers if isinstance(layer, layers.Identity)}
    prefixes = (name.removesuffix(first) for name in named for first in _FIRST if name.endswith(first))
    if (prefix := next(prefixes, None)) is None:
        return {}
    return {
        name.removeprefix(prefix).removesuffix(_SUFFIX): output
        for name, output in named.items()
        if name.startswith(prefix) and name.endswith(_SUFFIX)
    }
