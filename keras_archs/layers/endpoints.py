"""Endpoints: the last feature map of each stage of a network, under a name that a saved model keeps.

A family file declares a stage where it builds it: ``x = endpoint(x, f"{prefix}stage1")``. The declaration is an
``Identity`` layer, which computes and copies nothing; a model that was saved and loaded still has it. `endpoints`
reads the declarations from any model.
"""

import keras
from keras import layers

_SUFFIX = "_endpoint"
_FIRST = ("stem", "stem1")
"""First stage of every network. The part of an endpoint's name before it is the network's prefix."""


def endpoint(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Declare the end of a stage.

    Args:
        x: Last feature map of the stage, of shape (batch, height, width, channels).
        name: The network's prefix followed by the name of the stage, e.g. ``"stage1"``. The first stage of a network is
            ``"stem"`` or ``"stem1"``.

    Returns:
        The same feature map.
    """
    return layers.Identity(name=f"{name}{_SUFFIX}")(x)


def endpoints(model: keras.Model) -> dict[str, keras.KerasTensor]:
    """Return the last feature map of each stage, in the order of computation.

    Args:
        model: A network of this package, built or loaded. In a model with several networks, the first counts.

    Returns:
        Feature maps by the name of the stage, without the network's prefix; empty for a model without endpoints.
    """
    declared = {
        layer.name.removesuffix(_SUFFIX): layer.output
        for layer in model.layers
        if isinstance(layer, layers.Identity) and layer.name.endswith(_SUFFIX)
    }
    prefixes = [name.removesuffix(first) for name in declared for first in _FIRST if name.endswith(first)]

    def prefix_of(name: str) -> str | None:
        """Return the longest prefix in front of a stage: "a_" also begins the names of a network "a_b_"."""
        fitting = (prefix for prefix in prefixes if name.startswith(prefix) and name != prefix)
        return max(fitting, key=len, default=None)

    return {
        name.removeprefix(prefixes[0]): feature_map
        for name, feature_map in declared.items()
        if prefixes and prefix_of(name) == prefixes[0]
    }
