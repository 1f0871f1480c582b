"""The fields of a model card: facts about one network that need no built model."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from keras_archs.images.preprocessing import Preprocessing

# Statistics of ImageNet's training images, on the scale 0 to 255.
IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
IMAGENET_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)

CIFAR = Preprocessing(size=(32, 32), mean=(125.3, 123.0, 113.9), std=(63.0, 62.1, 66.7), crop_fraction=1.0)
"""Preprocessing for CIFAR-10 with the statistics of fb.resnet.torch, on which the code of later authors is built."""


@dataclass(frozen=True)
class Paper:
    """Publication of an architecture."""

    title: str
    year: int
    arxiv: str
    """arXiv identifier, e.g. ``"1905.11946"``."""


@dataclass(frozen=True)
class Accuracy:
    """A published top-1 accuracy with one crop per image.

    The images are ImageNet's validation set, unless ``source`` names another data set.
    """

    value: float
    """In per cent."""
    source: str
    """Publication of the value, and the weights it was measured with, in words."""


@dataclass(frozen=True)
class PublishedCost:
    """Cost of a network with its published input size and number of classes."""

    size: tuple[int, int]
    """Height and width of the input, in pixels."""
    trainable: int
    """Number of trainable parameters."""
    non_trainable: int
    """Number of non-trainable parameters."""
    macs: int
    """Multiply-adds of convolutions and dense layers, per image."""

    @property
    def parameters(self) -> int:
        """Number of all parameters, as ``keras.Model.count_params`` counts them."""
        return self.trainable + self.non_trainable


@dataclass(frozen=True)
class ModelCard:
    """Facts about one network of the registry."""

    name: str
    """Name in the registry, in the model repository and of the endpoint, e.g. ``"efficientnet-b0"``."""
    title: str
    """Display name, e.g. ``"EfficientNet-B0"``."""
    family: str
    """Display name of the family, e.g. ``"EfficientNet-Lite"``."""
    builder: str
    """Name of the public function of `keras_archs` that builds the network."""
    preprocessing: Preprocessing
    """Preprocessing that the published weights expect."""
    paper: Paper
    """Publication of the architecture."""
    top1: Accuracy | None
    """Accuracy of the published weights; None if nothing was published."""
    arguments: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Arguments of the builder that differ from its defaults."""
    weights: tuple[str, ...] = ()
    """Tags that the builder's ``weights`` argument accepts, besides None and the path of a file."""

    @property
    def cost(self) -> PublishedCost:
        """Parameters and multiply-adds, from the generated table ``costs.csv``."""
        return _published_costs()[self.name]


@cache
def _published_costs() -> dict[str, PublishedCost]:
    with files("keras_archs.cards").joinpath("costs.csv").open(encoding="utf-8") as table:
        return {
            row["name"]: PublishedCost(
                size=(int(row["height"]), int(row["width"])),
                trainable=int(row["trainable"]),
                non_trainable=int(row["non_trainable"]),
                macs=int(row["macs"]),
            )
            for row in csv.DictReader(table)
        }
