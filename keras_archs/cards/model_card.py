"""Model cards: what there is to know about each network without building it. A module per family; data only."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from keras_archs.images.preprocessing import Preprocessing

# The statistics of ImageNet's training images, on the scale of the pixels.
IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
IMAGENET_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)

CIFAR = Preprocessing(size=(32, 32), mean=(125.3, 123.0, 113.9), std=(63.0, 62.1, 66.7), crop_fraction=1.0)
"""With the statistics that fb.resnet.torch has for CIFAR-10; the authors' code of later networks is built on it."""


@dataclass(frozen=True)
class Paper:
    """Where an architecture was published."""

    title: str
    year: int
    arxiv: str
    """arXiv identifier, e.g. ``"1905.11946"``."""


@dataclass(frozen=True)
class Accuracy:
    """A published top-1 accuracy on ImageNet's validation images, in per cent, one crop.

    For a network whose classes are another data set's, it is that data set's, and the source says so.
    """

    value: float
    source: str


@dataclass(frozen=True)
class PublishedCost:
    """Size of a network with its published input and classes."""

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
        """Parameters and multiply-adds, from the table that `keras_archs.analysis.cost` generates."""
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
