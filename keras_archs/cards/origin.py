"""Where a built model comes from: the builder that made it, with which arguments and which weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class WeightsInfo:
    """Provenance of the weights in a model."""

    tag: str
    """What was asked for: ``"imagenet"``, or the name of a file."""
    source: str
    """In words, for people: package and file."""
    sha256: str
    """Checksum of the file that was read."""


@dataclass(frozen=True)
class Origin:
    """How a model was built; enough to build its like again."""

    builder: str
    """Name of the public function, e.g. ``"EfficientNetB0"``."""
    arguments: Mapping[str, Any]
    """The arguments that differ from the builder's defaults; they can be written as JSON."""
    weights: WeightsInfo | None
    """None for random initialisation."""


# Beside the models rather than on them: nothing that Keras tracks, saves or clones changes.
_origins: "WeakKeyDictionary[keras.Model, Origin]" = WeakKeyDictionary()


def remember(model: "keras.Model", origin: Origin) -> None:
    """Note where ``model`` comes from, for as long as the object lives."""
    _origins[model] = origin


def origin_of(model: "keras.Model") -> Origin | None:
    """Return where ``model`` comes from, or None if no builder of this package returned this very object.

    A model that was saved and loaded again, cloned or copied is another object: its origin is not known.
    """
    return _origins.get(model)
