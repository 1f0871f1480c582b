"""All networks by name. Importing this module does not load Keras; calling `create_model` does."""

import difflib
import fnmatch
import importlib
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from keras_archs.cards.densenet import CARDS as DENSENET
from keras_archs.cards.efficientnet import CARDS as EFFICIENTNET
from keras_archs.cards.efficientnet_v2 import CARDS as EFFICIENTNET_V2
from keras_archs.cards.inception import CARDS as INCEPTION
from keras_archs.cards.mobilenet import CARDS as MOBILENET
from keras_archs.cards.mobilenet_v2 import CARDS as MOBILENET_V2
from keras_archs.cards.mobilenet_v3 import CARDS as MOBILENET_V3
from keras_archs.cards.model_card import ModelCard
from keras_archs.cards.published_weights import entries
from keras_archs.cards.resnet import CARDS as RESNET
from keras_archs.cards.resnext import CARDS as RESNEXT
from keras_archs.cards.senet import CARDS as SENET
from keras_archs.cards.stochastic_depth import CARDS as STOCHASTIC_DEPTH
from keras_archs.cards.weights_entry import WeightsEntry
from keras_archs.cards.wide_resnet import CARDS as WIDE_RESNET

if TYPE_CHECKING:
    import keras


class UnknownModelError(ValueError):
    """The registry has no model of this name."""


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
_CARDS_BY_BUILDER: dict[str, list[ModelCard]] = {}
for _card in _CARDS.values():
    _CARDS_BY_BUILDER.setdefault(_card.builder, []).append(_card)
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
"""Baselines of compound scaling, with the public functions of `keras_archs` that build them at any scale."""


def list_models(pattern: str = "*", *, weights: str | None = None) -> list[str]:
    """Return the names of the models, sorted with numbers by value.

    Args:
        pattern: Shell-style pattern of the names to return, e.g. ``"efficientnet-b*"``.
        weights: Published weights that a model must have: ``"imagenet"``, ``"cifar10"`` or a tag such as
            ``"timm/a1_in1k"``; None for all models.

    Returns:
        Names for `model_card` and `create_model`.
    """
    names = (
        card.name
        for card in _CARDS.values()
        if fnmatch.fnmatchcase(card.name, pattern) and (weights is None or weights in card.weights)
    )
    return sorted(names, key=_natural)


def list_weights(pattern: str = "*") -> list[WeightsEntry]:
    """Return the published weights of the models, each model's default first.

    Args:
        pattern: Shell-style pattern of the models' names, e.g. ``"resnext-*"``.

    Returns:
        Entries with the tag for a builder's ``weights`` argument, preprocessing, accuracy, licence and places of the
        file; models in the order of `list_models`.
    """
    return [entry for name in list_models(pattern) for entry in entries(name)]


def _natural(name: str) -> list[tuple[float, str]]:
    """Return a sort key that puts 9 before 10, and 0.25 before 0.5."""
    parts = re.split(r"(\d+(?:\.\d+)?)", name)  # text and numbers alternate
    return [(float(part), "") if index % 2 else (-1, part) for index, part in enumerate(parts)]


def model_card(name: str) -> ModelCard:
    """Return the card of a model.

    Args:
        name: Name in the registry, e.g. ``"efficientnet-lite0"``.

    Raises:
        UnknownModelError: If the registry has no such model; the message suggests similar names.
    """
    try:
        return _CARDS[name]
    except KeyError:
        close = difflib.get_close_matches(name.lower(), _CARDS, n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "list_models() returns all names"
        raise UnknownModelError(f"unknown model {name!r}: {hint}") from None


def create_model(name: str, /, **arguments: Any) -> "keras.Model":
    """Build a model by its name.

    Args:
        name: Name in the registry, e.g. ``"efficientnet-lite0"``.
        **arguments: Arguments of the builder, e.g. ``weights="imagenet"`` or ``classes=10``.

    Raises:
        UnknownModelError: If the registry has no such model; the message suggests similar names.
        TypeError: If the builder does not take an argument.
        ValueError: If the builder refuses a value.
    """
    card = model_card(name)
    return _builder(card.builder)(**{**card.arguments, **arguments})


def scalable(name: str) -> "Callable[..., keras.Model]":
    """Return the function that builds a network at any scale, for `scale_family` and `search_coefficients`.

    Args:
        name: Name of a baseline, e.g. ``"resnet-50"``.

    Returns:
        A public function such as `keras_archs.EfficientNet`. Besides the arguments of all classifiers it takes
        ``depth``, ``width`` and ``resolution``, which default to 1 and then give the baseline.

    Raises:
        UnknownModelError: If the registry has no such model; the message suggests similar names.
        ValueError: If the model is not a baseline; the message lists the baselines.
    """
    check_baseline(name)
    return _builder(SCALABLE[name])


def check_baseline(name: str) -> None:
    """Check that a model is a baseline of compound scaling, without loading Keras.

    Args:
        name: Name in the registry, e.g. ``"resnet-50"``.

    Raises:
        UnknownModelError: If the registry has no such model; the message suggests similar names.
        ValueError: If the model is not a baseline; the message lists the baselines.
    """
    model_card(name)
    if name not in SCALABLE:
        raise ValueError(f"{name!r} is not a baseline of compound scaling; baselines: {', '.join(SCALABLE)}")


def _builder(name: str) -> "Callable[..., keras.Model]":
    builder: Callable[..., keras.Model] = getattr(importlib.import_module("keras_archs"), name)
    return builder


def card_for(builder: str, arguments: Mapping[str, Any]) -> ModelCard | None:
    """Return the card of a network by the function that builds it.

    Args:
        builder: Name of a public function of `keras_archs`, e.g. ``"MobileNet"``.
        arguments: Arguments that differ from the builder's defaults.

    Returns:
        The builder's card whose arguments are all among these; if there are several, the card with most arguments. None
        if there is no such card.
    """
    fitting = (
        card
        for card in _CARDS_BY_BUILDER.get(builder, ())
        if all(arguments.get(key) == value for key, value in card.arguments.items())
    )
    return max(fitting, key=lambda card: len(card.arguments), default=None)
