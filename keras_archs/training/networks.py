"""A network of the registry for the classes of a data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras_archs.cards.origin import origin_of
from keras_archs.images.preprocessing import Preprocessing
from keras_archs.registry import create_model, model_card

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class NetworkChoice:
    """A network of the registry with its first weights."""

    name: str
    """Name in the registry."""
    weights: str | None = None
    """Tag or path of weights; None for initial values."""
    image_size: int | None = None
    """Height and width of the input in pixels; None for the network's own."""

    @classmethod
    def pretrained(cls, name: str, weights: str | None = None, image_size: int | None = None) -> NetworkChoice:
        """Return a network with published weights: those given, or the network's default.

        Raises:
            ValueError: The network has no default weights and none are given.
        """
        card = model_card(name)
        if weights is None and card.default is None:
            raise ValueError(
                f"{card.name} has no default weights: give weights=..., or train from scratch; published weights: "
                f"{', '.join(card.weights) or 'none'}"
            )
        tag = card.default.tag if weights is None and card.default else weights
        return cls(card.name, tag, image_size)


def build_network(choice: NetworkChoice, classes: int) -> tuple[keras.Model, Preprocessing]:
    """Build a network with a classifier of its own for a number of classes, and return it with its preprocessing.

    Args:
        choice: The network, its weights and its input size.
        classes: Number of classes.

    Returns:
        The model, whose origin is known to `export_model`, and the preprocessing of its weights for its input size.
    """
    from keras_archs.export.provenance import registered_preprocessing  # imports Keras

    size = choice.image_size
    shape = {} if size is None else {"input_shape": (size, size, 3)}
    model = create_model(choice.name, weights=choice.weights, classes=classes, **shape)
    return model, registered_preprocessing(model, origin_of(model))
