"""What a published model is on disk: TensorFlow Serving's layout, plus a card that explains it.

    <repository>/<name>/<version>/saved_model.pb  variables/  assets/labels.txt
                                  assets.extra/tf_serving_warmup_requests
                                  assets.extra/model_card.json

The exporter writes this and the gateway reads it, so nothing here imports Keras or TensorFlow.
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

MAX_VERSION = 2**63 - 1  # TensorFlow Serving keeps versions in an int64
LIKELIEST = -1  # in place of a class, in the input of the signature `explain`
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_VERSION = re.compile(r"[1-9][0-9]{0,18}")


class ArtifactError(ValueError):
    """A published version is incomplete, altered or not one of ours."""


@dataclass(frozen=True)
class Weights:
    """Where a published model's weights come from.

    Attributes:
        trained: False for weights as initialised.
        source: What they were trained on or loaded from, in words; "none" when untrained.
        sha256: Checksum of the file they were read from, if there was one.
    """

    trained: bool
    source: str
    sha256: str | None = None


@dataclass(frozen=True)
class ArtifactCard:
    """Everything a server needs to know about one published version besides its graph.

    Attributes:
        name: The model's name in the repository.
        preprocessing: How an image becomes the graph's uint8 input.
        labels: One per class, in the order of the graph's probabilities.
        weights: Provenance of the weights.
        architecture: The public builder and its arguments, or None for a model built elsewhere.
        created: When it was exported, ISO 8601, UTC.
        producer: Versions of the packages that wrote it.
        checksums: SHA-256 of each file that inference depends on, by path relative to the version.
        explains: Whether it has the signature `explain`, which makes class activation maps.
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
        """The card as JSON-ready data."""
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
        """The inverse of `to_json`; a missing or malformed field raises KeyError, TypeError or ValueError."""
        return cls(
            name=data["name"],
            preprocessing=Preprocessing.from_json(data["preprocessing"]),
            labels=tuple(Label(entry["name"], entry["wordnet_id"]) for entry in data["labels"]),
            weights=Weights(**data["weights"]),
            architecture=data["architecture"],
            created=data["created"],
            producer=data["producer"],
            checksums=data["checksums"],
            explains=data.get("explains", False),  # older cards do not say, and their graphs cannot
        )


def check_name(name: str) -> str:
    """Returns `name` if it can name a model in a repository, a URL and a metric; raises ValueError if not."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"a model's name must be 1 to 128 letters, digits, '.', '_' or '-', "
            f"starting with a letter or digit; got {name!r}"
        )
    return name


def published_models(repository: Path) -> dict[str, list[int]]:
    """The models in `repository` that have at least one version, by name, each with its versions, ascending."""
    if not repository.is_dir():
        return {}
    found = {
        entry.name: published_versions(entry) for entry in sorted(repository.iterdir()) if _NAME.fullmatch(entry.name)
    }
    return {name: versions for name, versions in found.items() if versions}


def published_versions(model_dir: Path) -> list[int]:
    """Versions in a model's folder, ascending; [] if there is no such folder.

    A version is a folder with a positive integer for a name and a SavedModel inside. TensorFlow Serving ignores
    everything else as well, so an export under way (`.incoming-*`) is never seen.
    """
    if not model_dir.is_dir():
        return []
    return sorted(
        int(entry.name)
        for entry in model_dir.iterdir()
        if _VERSION.fullmatch(entry.name) and int(entry.name) <= MAX_VERSION and (entry / SAVED_MODEL).is_file()
    )


def read_card(version_dir: Path) -> ArtifactCard:
    """Reads a version's card.

    Raises:
        ArtifactError: There is no card, or it is not one that this package wrote.
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
