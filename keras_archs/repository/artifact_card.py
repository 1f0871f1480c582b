"""The card of a published version: what a server needs to know besides the graph.

A card may have been edited by hand, so reading one checks every field that an answer depends on.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Self

from keras_archs.images.labels import Label
from keras_archs.images.preprocessing import Preprocessing
from keras_archs.repository.json_fields import field, text, text_or_null, typed, typed_field
from keras_archs.repository.quantization import Quantization


@dataclass(frozen=True)
class Weights:
    """Provenance of a published model's weights.

    Attributes:
        trained: Whether the weights were trained; False for initial values.
        source: Data that the weights were trained on, or package and file that they were loaded from, in words;
            "none" if untrained.
        sha256: Checksum of the file that the weights were loaded from; None without a file, and for weights that were
            changed since.
        licence: Licence of the published weights that were loaded, also if they were changed since; None for others.
    """

    trained: bool
    source: str
    sha256: str | None = None
    licence: str | None = None


@dataclass(frozen=True)
class ArtifactCard:
    """Everything that a server needs to know about a published version besides its graph.

    Attributes:
        name: Name of the model in the repository.
        preprocessing: Steps from an image file to the graph's uint8 input.
        labels: Label of each class, in the order of the graph's probabilities; at least one.
        weights: Provenance of the weights.
        architecture: Public builder and its arguments; None for a model that no builder of this package made.
        created: Time of the export, ISO 8601, UTC.
        producer: Versions of the packages that wrote the version, by package.
        checksums: SHA-256 of each file that inference depends on, by path relative to the version.
        explains: Whether the graph has the signature `explain`, which computes class activation maps.
        multi_label: Whether each probability stands for itself, because an image may show several classes (sigmoid);
            False if the probabilities of an image add up to 1, because an image shows one class (softmax).
        quantization: How the int8 graph of the version was made; None for a version without one.
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
    multi_label: bool = False
    quantization: Quantization | None = None

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
                "licence": self.weights.licence,
            },
            "architecture": self.architecture,
            "created": self.created,
            "producer": dict(self.producer),
            "checksums": dict(self.checksums),
            "explains": self.explains,
            "multi_label": self.multi_label,
            "quantization": self.quantization.to_json() if self.quantization else None,
        }

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Make a card from the data that `to_json` returns.

        Fields that this version of the package does not know are ignored: a newer version may have written the card.

        Raises:
            ValueError: A field is missing or malformed; the message names the field, what it holds and what is allowed.
        """
        card = typed(data, dict, "the card")
        return cls(
            name=text(card, "name"),
            preprocessing=Preprocessing.from_json(field(card, "preprocessing")),
            labels=_labels(field(card, "labels")),
            weights=_weights(field(card, "weights")),
            architecture=None if field(card, "architecture") is None else typed_field(card, "architecture", dict),
            created=text(card, "created"),
            producer=_texts(card, "producer"),
            checksums=_checksums(card),
            # older cards lack these fields: their versions have no such signature and no int8 graph, and their
            # probabilities add up to 1
            explains=typed(card.get("explains", False), bool, "explains"),
            multi_label=typed(card.get("multi_label", False), bool, "multi_label"),
            quantization=Quantization.from_json(found) if (found := card.get("quantization")) is not None else None,
        )


def _labels(value: object) -> tuple[Label, ...]:
    entries = typed(value, list, "labels")
    if not entries:
        raise ValueError("labels must have an entry for each class, got none")
    return tuple(_label(entry, f"labels[{index}]") for index, entry in enumerate(entries))


def _label(value: object, where: str) -> Label:
    entry = typed(value, dict, where)
    return Label(text(entry, "name", where), text_or_null(entry, "wordnet_id", where))


def _weights(value: object) -> Weights:
    weights = typed(value, dict, "weights")
    return Weights(
        trained=typed_field(weights, "trained", bool, "weights"),
        source=text(weights, "source", "weights"),
        sha256=text_or_null(weights, "sha256", "weights"),
        # older cards lack this field
        licence=text_or_null({"licence": None, **weights}, "licence", "weights"),
    )


def _checksums(card: dict[str, Any]) -> dict[str, str]:
    checksums = _texts(card, "checksums")
    for path in checksums:
        # the files are read to compare them, so a path must not lead out of the version's folder
        parts = PurePosixPath(path).parts
        if not parts or parts[0] == "/" or ".." in parts:
            raise ValueError(f"checksums must have paths inside the version's folder, got {reprlib.repr(path)}")
    return checksums


def _texts(data: dict[str, Any], key: str) -> dict[str, str]:
    values = typed_field(data, key, dict)
    return {name: typed(value, str, f"{key}[{reprlib.repr(name)}]") for name, value in values.items()}
