"""Origin of a built model: its builder, arguments, weights and card."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from keras_archs.cards.model_card import ModelCard

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class WeightsInfo:
    """Provenance of the weights in a model."""

    tag: str
    """``"imagenet"``, or the name of a file."""
    source: str
    """Package and file, in words."""
    sha256: str
    """SHA-256 of the file."""


@dataclass(frozen=True)
class Origin:
    """Builder, arguments and weights of a model, from which the same network can be built again."""

    builder: str
    """Name of the public function of `keras_archs`, e.g. ``"EfficientNetB0"``."""
    arguments: Mapping[str, Any]
    """Arguments that differ from the builder's defaults; they can be written as JSON."""
    weights: WeightsInfo | None
    """Provenance of the weights; None for random initialisation."""
    card: ModelCard | None
    """Card in the registry for this builder and these arguments; None if the registry has no such card."""


# Kept outside the models, so that nothing that Keras tracks, saves or clones changes.
_origins: "WeakKeyDictionary[keras.Model, Origin]" = WeakKeyDictionary()


def remember(model: "keras.Model", origin: Origin) -> None:
    """Record the origin of ``model`` for the lifetime of the object."""
    _origins[model] = origin


def origin_of(model: "keras.Model") -> Origin | None:
    """Return the origin of ``model``, or None if the object was not returned by a builder of this package.

    A model that was loaded from a file, cloned or copied is another object and has no origin.
    """
    return _origins.get(model)
