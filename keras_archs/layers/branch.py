"""Base class of layers that contain a functional model."""

from typing import Any, Self

import keras
from keras import layers


class BranchLayer(layers.Layer):
    """Layer that contains a functional model and decides how it is computed."""

    def __init__(self, branch: keras.Model, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.branch = branch
        # The branch of a network for one size of images checks that size; `profile` computes shapes for others, too.
        self.branch.input_spec = None

    def build(self, _: Any) -> None:
        """Mark the layer as built: the branch is built already."""
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """Return the arguments for saving."""
        return {**super().get_config(), "branch": keras.saving.serialize_keras_object(self.branch)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make the layer from the result of `get_config`."""
        return cls(**config | {"branch": keras.saving.deserialize_keras_object(config["branch"])})
