"""The model cards: what there is to know about each network without building it.

Nothing here loads Keras; `create_model` does, when it is called.
"""

import csv
import difflib
import fnmatch
import importlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from keras_archs.origin import Origin
from keras_archs.preprocessing import Preprocessing
from keras_archs.scaling import EFFICIENTNET, EFFICIENTNET_LITE

if TYPE_CHECKING:
    import keras


class UnknownModelError(ValueError):
    """There is no model of this name."""


@dataclass(frozen=True)
class Paper:
    """Where an architecture was published."""

    title: str
    year: int
    arxiv: str
    """arXiv identifier, e.g. ``"1905.11946"``."""


@dataclass(frozen=True)
class Accuracy:
    """A published top-1 accuracy on ImageNet's validation images, in per cent, one crop."""

    value: float
    source: str


@dataclass(frozen=True)
class PublishedCost:
    """Size of a network with its published input and 1000 classes."""

    size: tuple[int, int]
    trainable: int
    non_trainable: int
    macs: int
    """Multiply-adds of convolutions and dense layers, for one image."""

    @property
    def parameters(self) -> int:
        """Trainable and non-trainable parameters, as ``keras.Model.count_params`` counts them."""
        return self.trainable + self.non_trainable


@dataclass(frozen=True)
class ModelCard:
    """One network of the registry: data only."""

    name: str
    """Name of the registry, of the endpoint and in the model repository, e.g. ``"efficientnet-b0"``."""
    title: str
    """Name for people, e.g. ``"EfficientNet-B0"``."""
    family: str
    builder: str
    """Name of the public function of `keras_archs` that builds it."""
    preprocessing: Preprocessing
    """How an image becomes the network's input."""
    paper: Paper
    top1: Accuracy | None
    """What the authors' weights reach; None where nothing was published."""
    arguments: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Arguments of the builder, where they differ from its defaults."""
    weights: tuple[str, ...] = ()
    """Tags that the builder's ``weights`` argument takes; ``()`` if there are only one's own files."""

    @property
    def cost(self) -> PublishedCost:
        """Parameters and multiply-adds, from the table that `keras_archs.cost` generates."""
        return _published_costs()[self.name]


@cache
def _published_costs() -> dict[str, PublishedCost]:
    with files("keras_archs").joinpath("data/costs.csv").open(encoding="utf-8") as table:
        return {
            row["name"]: PublishedCost(
                size=(int(row["height"]), int(row["width"])),
                trainable=int(row["trainable"]),
                non_trainable=int(row["non_trainable"]),
                macs=int(row["macs"]),
            )
            for row in csv.DictReader(table)
        }


EFFICIENTNET_PAPER = Paper(
    "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019, "1905.11946"
)

_GOOGLE = "AutoAugment; tensorflow/tpu, models/official/efficientnet/README.md"
_TIMM = "AutoAugment weights evaluated by timm; results/results-imagenet.csv, tf_efficientnet_*.aa_in1k"
_GOOGLE_LITE = "tensorflow/tpu, models/official/efficientnet/lite/README.md"
_EFFICIENTNET_TOP1 = {
    "b0": Accuracy(77.1, _GOOGLE),
    "b1": Accuracy(79.1, _GOOGLE),
    "b2": Accuracy(80.1, _GOOGLE),
    "b3": Accuracy(81.6, _GOOGLE),
    "b4": Accuracy(82.9, _GOOGLE),
    "b5": Accuracy(83.70, _TIMM),
    "b6": Accuracy(84.12, _TIMM),
    "b7": Accuracy(84.42, _TIMM),
    "lite0": Accuracy(75.1, _GOOGLE_LITE),
    "lite1": Accuracy(76.7, _GOOGLE_LITE),
    "lite2": Accuracy(77.6, _GOOGLE_LITE),
    "lite3": Accuracy(79.8, _GOOGLE_LITE),
    "lite4": Accuracy(81.5, _GOOGLE_LITE),
}

# The statistics of ImageNet's training images, on the scale of the pixels.
_IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
_IMAGENET_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)


def _efficientnet_cards() -> Iterable[ModelCard]:
    for variant, scaling in (EFFICIENTNET | EFFICIENTNET_LITE).items():
        lite = variant in EFFICIENTNET_LITE
        size = scaling.resolution
        yield ModelCard(
            name=f"efficientnet-{variant}",
            title=f"EfficientNet-{variant.capitalize()}",
            family="EfficientNet-Lite" if lite else "EfficientNet",
            builder=f"EfficientNet{variant.capitalize()}",
            preprocessing=Preprocessing(
                size=(size, size),
                mean=(127.0,) * 3 if lite else _IMAGENET_MEAN,
                std=(128.0,) * 3 if lite else _IMAGENET_STD,
                # As in Google's evaluation: a border of 16 pixels is cropped off on each side.
                crop_fraction=size / (size + 32),
                interpolation="bicubic",
            ),
            paper=EFFICIENTNET_PAPER,
            top1=_EFFICIENTNET_TOP1[variant],
            weights=("imagenet",) if variant in {"lite0", "lite1", "lite2"} else (),
        )


_CARDS = {card.name: card for card in _efficientnet_cards()}


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


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key under which 9 comes before 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


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
    builder = getattr(importlib.import_module("keras_archs"), card.builder)
    return builder(**{**card.arguments, **arguments})


def card_for(origin: Origin) -> ModelCard | None:
    """Return the card that stands for a model of this origin: of its builder, and with its arguments.

    Args:
        origin: What `keras_archs.origin.origin_of` returns for a model.

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
