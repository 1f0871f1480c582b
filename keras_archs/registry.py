"""All networks by name. Nothing here loads Keras; `create_model` does, when it is called."""

import difflib
import fnmatch
import importlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from keras_archs.cards.densenet import CARDS as DENSENET
from keras_archs.cards.efficientnet import CARDS as EFFICIENTNET
from keras_archs.cards.efficientnet_v2 import CARDS as EFFICIENTNET_V2
from keras_archs.cards.inception import CARDS as INCEPTION
from keras_archs.cards.mobilenet import CARDS as MOBILENET
from keras_archs.cards.mobilenet_v2 import CARDS as MOBILENET_V2
from keras_archs.cards.mobilenet_v3 import CARDS as MOBILENET_V3
from keras_archs.cards.model_card import ModelCard
from keras_archs.cards.origin import Origin
from keras_archs.cards.resnet import CARDS as RESNET
from keras_archs.cards.resnext import CARDS as RESNEXT
from keras_archs.cards.senet import CARDS as SENET
from keras_archs.cards.stochastic_depth import CARDS as STOCHASTIC_DEPTH
from keras_archs.cards.wide_resnet import CARDS as WIDE_RESNET

if TYPE_CHECKING:
    import keras


class UnknownModelError(ValueError):
    """There is no model of this name."""


_FAMILIES = (
    DENSENET,
    EFFICIENTNET,
    EFFICIENTNET_V2,
    INCEPTION,
    MOBILENET,
    MOBILENET_V2,
    MOBILENET_V3,
    RESNET,
    RESNEXT,
    SENET,
    STOCHASTIC_DEPTH,
    WIDE_RESNET,
)
_CARDS = {card.name: card for family in _FAMILIES for card in family}
SCALABLE = {
    "densenet-121": "ScaledDenseNet121",
    "efficientnet-b0": "EfficientNet",
    "efficientnet-lite0": "EfficientNetLite",
    "efficientnet-v2-b0": "EfficientNetV2",
    "mobilenet-1.0-224": "ScaledMobileNet",
    "mobilenet-v2-1.0": "ScaledMobileNetV2",
    "resnet-50": "ScaledResNet50",
    "wide-resnet-50-2": "ScaledWideResNet50_2",
}
"""The baselines of compound scaling, and the public functions of `keras_archs` that build them at any scale."""


def list_models(pattern: str = "*", *, weights: str | None = None) -> list[str]:
    """Return the names of the models, in natural order.

    Args:
        pattern: Shell-style pattern that a name must match, e.g. ``"efficientnet-b*"``.
        weights: List only models that have weights of this tag, e.g. ``"imagenet"``.

    Returns:
        Names that `model_card` and `create_model` take.
    """
    names = (
        card.name
        for card in _CARDS.values()
        if fnmatch.fnmatchcase(card.name, pattern) and (weights is None or weights in card.weights)
    )
    return sorted(names, key=_natural)


def _natural(name: str) -> list[tuple[float, str]]:
    """Sort key under which 9 comes before 10, and 0.25 before 0.5."""
    parts = re.split(r"(\d+(?:\.\d+)?)", name)  # every second one is a number
    return [(float(part), "") if index % 2 else (-1, part) for index, part in enumerate(parts)]


def model_card(name: str) -> ModelCard:
    """Return the card of a model.

    Args:
        name: Name of the registry, e.g. ``"efficientnet-lite0"``.

    Returns:
        The card.

    Raises:
        UnknownModelError: If there is no such model; the message names the closest.
    """
    try:
        return _CARDS[name]
    except KeyError:
        close = difflib.get_close_matches(name.lower(), _CARDS, n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "list_models() returns all names"
        raise UnknownModelError(f"unknown model {name!r}: {hint}") from None


def create_model(name: str, /, **arguments: Any) -> "keras.Model":
    """Build a model by its name in the registry.

    Args:
        name: Name of the registry, e.g. ``"efficientnet-lite0"``.
        **arguments: Arguments of the builder, e.g. ``weights="imagenet"`` or ``classes=10``.

    Returns:
        The model.

    Raises:
        UnknownModelError: If there is no such model; the message names the closest.
        TypeError: For arguments that the builder does not take.
        ValueError: For values that it refuses.
    """
    card = model_card(name)
    return _builder(card.builder)(**{**card.arguments, **arguments})


def scalable(name: str) -> "Callable[..., keras.Model]":
    """Return the builder of a network at any scale: what `scale_family` and `search_coefficients` take.

    Args:
        name: Name of a baseline, e.g. ``"resnet-50"``.

    Returns:
        A public function such as `keras_archs.EfficientNet`. It takes ``depth``, ``width`` and ``resolution``, by
        default 1 for the baseline, and all that classifiers take, such as ``classes``.

    Raises:
        UnknownModelError: If there is no such model; the message names the closest.
        ValueError: If it is none of the baselines; the message names them.
    """
    check_baseline(name)
    return _builder(SCALABLE[name])


def check_baseline(name: str) -> None:
    """Check a name before Keras is loaded.

    Args:
        name: As `scalable` takes it.

    Raises:
        UnknownModelError: If there is no such model; the message names the closest.
        ValueError: If it is none of the baselines; the message names them.
    """
    model_card(name)
    if name not in SCALABLE:
        raise ValueError(f"{name!r} is no baseline of compound scaling; these are: {', '.join(SCALABLE)}")


def _builder(name: str) -> "Callable[..., keras.Model]":
    builder: Callable[..., keras.Model] = getattr(importlib.import_module("keras_archs"), name)
    return builder


def card_for(origin: Origin) -> ModelCard | None:
    """Return the card that stands for a model of this origin: of its builder, and with its arguments.

    Args:
        origin: What `keras_archs.cards.origin.origin_of` returns for a model.

    Returns:
        The card, or None if the registry has none for this builder and these arguments.
    """
    fitting = [
        card
        for card in _CARDS.values()
        if card.builder == origin.builder
        and all(origin.arguments.get(key) == value for key, value in card.arguments.items())
    ]
    return max(fitting, key=lambda card: len(card.arguments), default=None)
