"""Published weights: where their files are, and what belongs to them rather than to the network.

Two sets of weights of one network differ in image size, crop, mean, accuracy and licence. The entries are data: one
TOML file per family in the folder ``published``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, Literal

from keras_archs.cards.accuracy import Accuracy
from keras_archs.images.preprocessing import Preprocessing

Format = Literal["h5", "torch", "zipped-torch", "safetensors"]
"""Format of a file: Keras' legacy ``.h5``, a pickle of Torch, such a pickle inside a zip file, or safetensors."""


@dataclass(frozen=True)
class Checksum:
    """What is known of a file's content before it is downloaded."""

    algorithm: Literal["sha256", "sha1", "md5"]
    value: str
    """Hexadecimal digits; fewer than the algorithm's are a prefix."""
    of: Literal["file", "content"] = "file"
    """Whether the checksum is of the file itself, or of the only file inside a zip file."""


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights in one place."""

    place: Literal["url", "hub", "package"]
    """An address, a repository of the Hugging Face hub, or an installed pip package."""
    location: str
    """The address without the file's name, the repository, or the import name of the package."""
    name: str
    """Name of the file; in a repository or package its path."""
    format: Format
    checksum: Checksum | None = None
    revision: str = "main"
    """Revision of a repository of the hub."""
    size: int | None = None
    """Size in bytes, where it is known."""

    @property
    def address(self) -> str:
        """The place for people: the file's address, the page of its repository of the hub, or the pip package."""
        match self.place:
            case "url":
                return f"{self.location}/{self.name}"
            case "hub":
                return f"https://huggingface.co/{self.location}"
            case _:
                return f"pip package {self.location.replace('_', '-')}"

    @property
    def description(self) -> str:
        """Where the file was published, in words, for the origin of a model and for the card of a version."""
        if self.place == "url":
            return self.address
        place = self.location.replace("_", "-") if self.place == "package" else self.location
        return f"{place}, {PurePosixPath(self.name).name}"


@dataclass(frozen=True)
class WeightsEntry:
    """One set of published weights of one network."""

    network: str
    """Name of the network in the registry."""
    tag: str
    """Name of the weights, for the builder's ``weights`` argument: ``"keras"``, ``"timm/a1_in1k"``."""
    files: tuple[WeightsFile, ...]
    """Where the weights are, in order of preference."""
    names: str
    """Key of the name map in `keras_archs.weights.maps`: the source's names of tensors."""
    preprocessing: Preprocessing
    """Preprocessing that these weights expect."""
    top1: Accuracy | None
    """Published top-1 accuracy with this preprocessing."""
    top5: float | None
    """Published top-5 accuracy in per cent, of the same source."""
    licence: str
    """SPDX identifier of the licence, or "not stated"."""
    default: bool = False
    """Whether ``weights="imagenet"`` (``"cifar10"``) stands for these weights."""
    dataset: Literal["imagenet", "cifar10"] = "imagenet"
    classes: int = 1000
    arguments: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Arguments of the builder that these weights need, e.g. ``{"stride_in_1x1": True}``."""
    channel_order: Literal["rgb", "bgr"] = "rgb"
    """Order of the channels that the source's network takes; loading reverses the first convolution's for BGR."""
    recipe: str = ""
    """Address of the description of the training."""
    notes: str = ""

    @property
    def commercial(self) -> bool:
        """Whether the licence allows commercial use, as far as it is stated."""
        return "-nc-" not in self.licence.lower()
