"""The layout of published models on disk: TensorFlow Serving's, with a card for each version.

    <repository>/<name>/<version>/saved_model.pb  variables/  assets/labels.txt
                                  assets.extra/tf_serving_warmup_requests
                                  assets.extra/model_card.json
    <repository>/.cache/          versions that OpenVINO has converted; may be deleted

The exporter writes versions, the gateway and the command line read them: nothing here imports Keras or TensorFlow.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from keras_archs.images.labels import Label
from keras_archs.images.preprocessing import Preprocessing

SAVED_MODEL = "saved_model.pb"
LABELS = Path("assets/labels.txt")
CARD = Path("assets.extra/model_card.json")
WARMUP = Path("assets.extra/tf_serving_warmup_requests")
CONVERSION_CACHE = ".cache"

MAX_VERSION = 2**63 - 1  # TensorFlow Serving keeps versions in an int64
LIKELIEST = -1  # the value of `classes`, an input of the signature `explain`, that means the most likely class
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_VERSION = re.compile(r"[1-9][0-9]{0,18}")


class ArtifactError(ValueError):
    """A published version is incomplete or altered, or this package did not write it."""


class NotPublishedError(ValueError):
    """The repository, the model or the version does not exist."""


@dataclass(frozen=True)
class Weights:
    """Provenance of a published model's weights.

    Attributes:
        trained: Whether the weights were trained; False for initial values.
        source: Data that the weights were trained on, or package and file that they were loaded from, in words;
            "none" if untrained.
        sha256: Checksum of the file that the weights were loaded from; None without a file.
    """

    trained: bool
    source: str
    sha256: str | None = None


@dataclass(frozen=True)
class ArtifactCard:
    """Everything that a server needs to know about a published version besides its graph.

    Attributes:
        name: Name of the model in the repository.
        preprocessing: Steps from an image file to the graph's uint8 input.
        labels: Label of each class, in the order of the graph's probabilities.
        weights: Provenance of the weights.
        architecture: Public builder and its arguments; None for a model that no builder of this package made.
        created: Time of the export, ISO 8601, UTC.
        producer: Versions of the packages that wrote the version, by package.
        checksums: SHA-256 of each file that inference depends on, by path relative to the version.
        explains: Whether the graph has the signature `explain`, which computes class activation maps.
    """

    name: str
    preprocessing: Preprocessing
    labels: tuple[Label, ...]
    weights: Weights
    architecture: Mapping[str, Any] | None
    created: str
    producer: Mapping[str, str]
    checksums: Mapping[str, str]
    explains: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the card as data that `json` can write."""
        return {
            "name": self.name,
            "preprocessing": self.preprocessing.to_json(),
            "labels": [{"name": label.name, "wordnet_id": label.wordnet_id} for label in self.labels],
            "weights": {
                "trained": self.weights.trained,
                "source": self.weights.source,
                "sha256": self.weights.sha256,
            },
            "architecture": self.architecture,
            "created": self.created,
            "producer": dict(self.producer),
            "checksums": dict(self.checksums),
            "explains": self.explains,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Make a card from the data that `to_json` returns.

        Raises:
            KeyError, TypeError, ValueError: A field is missing or malformed.
        """
        return cls(
            name=data["name"],
            preprocessing=Preprocessing.from_json(data["preprocessing"]),
            labels=tuple(Label(entry["name"], entry["wordnet_id"]) for entry in data["labels"]),
            weights=Weights(**data["weights"]),
            architecture=data["architecture"],
            created=data["created"],
            producer=data["producer"],
            checksums=data["checksums"],
            explains=data.get("explains", False),  # older cards lack the field, and their graphs the signature
        )


def check_name(name: str) -> str:
    """Return `name` if a repository, a URL and a metric can all contain it.

    Raises:
        ValueError: The name has other characters, or not 1 to 128 of them.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"a model's name must be 1 to 128 letters, digits, '.', '_' or '-', "
            f"starting with a letter or digit; got {name!r}"
        )
    return name


def published_models(repository: Path) -> dict[str, list[int]]:
    """Return the names of the models that have a published version, each with its versions in ascending order."""
    if not repository.is_dir():
        return {}
    versions = {
        entry.name: published_versions(entry) for entry in sorted(repository.iterdir()) if _NAME.fullmatch(entry.name)
    }
    return {name: numbers for name, numbers in versions.items() if numbers}


def published_versions(model_dir: Path) -> list[int]:
    """Return the versions in a model's folder, in ascending order; [] if the folder does not exist.

    A version is a folder whose name is a positive integer and which contains a SavedModel. TensorFlow Serving ignores
    all other folders as well, so neither sees an unfinished export (`.incoming-*`).
    """
    if not model_dir.is_dir():
        return []
    return sorted(
        int(entry.name)
        for entry in model_dir.iterdir()
        if _VERSION.fullmatch(entry.name) and int(entry.name) <= MAX_VERSION and (entry / SAVED_MODEL).is_file()
    )


def check_repository(repository: Path) -> Path:
    """Return `repository` if it is a folder.

    Raises:
        NotPublishedError: The folder does not exist.
    """
    if not repository.is_dir():
        raise NotPublishedError(
            f"there is no model repository at {repository}; "
            f"`keras-archs export MODEL --repository {repository}` creates one"
        )
    return repository


def find_versions(repository: Path, name: str) -> tuple[int, ...]:
    """Return the published versions of a model, in ascending order.

    Raises:
        NotPublishedError: The repository does not exist, or has no version of this model.
    """
    models = published_models(check_repository(repository))
    if name not in models:
        raise NotPublishedError(
            f"no model {name!r} is published in {repository}; published: {', '.join(models) or 'none'}"
        )
    return tuple(models[name])


def find_version(repository: Path, name: str, version: int | None = None) -> Path:
    """Return the folder of a published version.

    Args:
        repository: Folder of the repository.
        name: Name of the model in the repository.
        version: Number of the version; None for the newest.

    Raises:
        NotPublishedError: The repository, the model or the version does not exist.
    """
    versions = find_versions(repository, name)
    if version is not None and version not in versions:
        raise NotPublishedError(
            f"{name} has no version {version} in {repository}; published: {', '.join(map(str, versions))}"
        )
    return repository / name / str(version or versions[-1])


def read_card(version_dir: Path) -> ArtifactCard:
    """Read the card of a version.

    Raises:
        ArtifactError: The version has no card, or this package did not write it.
    """
    try:
        return ArtifactCard.from_json(json.loads((version_dir / CARD).read_bytes()))
    except FileNotFoundError:
        raise ArtifactError(
            f"no {CARD} in version {version_dir.name} of {version_dir.parent.name!r}: "
            "publish with keras_archs.export_model or `keras-archs export`"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{CARD} of version {version_dir.name} of {version_dir.parent.name!r} cannot be read: {error!r}"
        ) from error
