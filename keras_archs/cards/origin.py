"""Origin of a built model: its builder, arguments, weights and card."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from keras_archs.cards.model_card import ModelCard
from keras_archs.cards.weights_entry import WeightsEntry

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class WeightsInfo:
    """Provenance of the weights in a model."""

    tag: str
    """Tag of published weights, or the name of the user's own file."""
    source: str
    """Place and file, in words."""
    sha256: str
    """SHA-256 of the file."""
    fingerprint: str
    """Fingerprint of all weights of the model after loading (`keras_archs.weights.fingerprint`)."""
    entry: WeightsEntry | None = None
    """The published weights; None for the user's own file."""
    untrained: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Layers whose weights did not come from the file, by name, with the fingerprint of their initial values."""
    adapted: tuple[str, ...] = ()
    """Layers whose weights were computed from those of the file, for images with another number of channels."""


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
