"""The base of layers that contain a functional model."""

from typing import Any, Self

import keras
from keras import layers


class BranchLayer(layers.Layer):
    """A layer that has a functional model inside and decides how it is computed."""

    def __init__(self, branch: keras.Model, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.branch = branch

    def build(self, _: Any) -> None:
        """Take the branch, which is built already."""
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, as Keras saves them."""
        return {**super().get_config(), "branch": keras.saving.serialize_keras_object(self.branch)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make the layer from what `get_config` returned."""
        return cls(**config | {"branch": keras.saving.deserialize_keras_object(config["branch"])})
