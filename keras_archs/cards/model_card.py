"""The fields of a model card: facts about one network that need no built model."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from keras_archs.cards.accuracy import Accuracy
from keras_archs.cards.published_weights import accepted, default_entry
from keras_archs.cards.weights_entry import WeightsEntry
from keras_archs.images.preprocessing import Preprocessing

# Statistics of ImageNet's training images, on the scale 0 to 255.
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)

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
    evaluation: Preprocessing
    """Preprocessing of the authors' evaluation, with the size for which the network was published."""
    paper: Paper
    """Publication of the architecture."""
    published: Accuracy | None
    """Accuracy that the authors published, for weights that may not be available; None if they published none."""
    arguments: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Arguments of the builder that differ from its defaults."""
    without_weights: str = "nobody is known to have published any that fit"
    """Why there are no weights to load, for a network without published weights that fit."""

    @property
    def default(self) -> WeightsEntry | None:
        """The weights that ``weights="imagenet"``, for CIFAR networks ``"cifar10"``, stands for; None without any."""
        return default_entry(self.name)

    @property
    def preprocessing(self) -> Preprocessing:
        """Preprocessing that the default weights expect; without published weights that of the authors' evaluation."""
        return self.default.preprocessing if self.default else self.evaluation

    @property
    def top1(self) -> Accuracy | None:
        """Published accuracy of the default weights; without such a value, what the authors published."""
        return (self.default and self.default.top1) or self.published

    @property
    def weights(self) -> tuple[str, ...]:
        """Values of the builder's ``weights`` argument that stand for published weights: data set, then tags."""
        return accepted(self.name)

    @property
    def cost(self) -> PublishedCost:
        """Parameters and multiply-adds, from the generated table ``costs.csv``."""
        return _costs("costs.csv")[self.name, None]

    def cost_with(self, entry: WeightsEntry) -> PublishedCost:
        """Return parameters and multiply-adds with the image size and the arguments of published weights.

        They are in the generated table ``costs_with_weights.csv`` where they may differ from the network's own.
        """
        return _costs("costs_with_weights.csv").get((self.name, entry.tag)) or self.cost


@cache
def _costs(file: str) -> dict[tuple[str, str | None], PublishedCost]:
    """Return the rows of a generated table by network and, if the table has them, weights."""
    with files("keras_archs.cards").joinpath(file).open(encoding="utf-8") as table:
        return {
            (row["name"], row.get("weights")): PublishedCost(
                size=(int(row["height"]), int(row["width"])),
                trainable=int(row["trainable"]),
                non_trainable=int(row["non_trainable"]),
                macs=int(row["macs"]),
            )
            for row in csv.DictReader(table)
        }
