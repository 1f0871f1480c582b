"""What was evaluated and what came out: the numbers that terminal, report and JSON show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from keras_archs.images.labels import Label
from keras_archs.training.data.labelled_images import NamedImages
from keras_archs.training.evaluation.answers import Answers, ClassResult, Confusion
from keras_archs.training.evaluation.proportion import Proportion


@dataclass(frozen=True)
class Subject:
    """The network that was evaluated."""

    model: str
    """Name in the registry or in the repository."""
    version: int | None
    """Version in the repository; None for a network of the registry."""
    weights: str
    """Source of the weights, in words."""
    published: PublishedAccuracy | None = None
    """Accuracy that was published for the weights."""

    def __str__(self) -> str:
        return self.model if self.version is None else f"{self.model} version {self.version}"


@dataclass(frozen=True)
class PublishedAccuracy:
    """Accuracy of weights as their source states it."""

    top1: float
    """In per cent."""
    top5: float | None
    """In per cent."""
    source: str
    """Publication of the values, in words."""


class Measure(NamedTuple):
    """A measured accuracy beside the published accuracy."""

    name: str
    """"top-1" or "top-5"."""
    measured: Proportion
    published: float | None
    """In per cent; None if nothing was published."""

    @property
    def place(self) -> str | None:
        """Where the published accuracy lies: "inside", "above" or "below" the measured interval."""
        return None if self.published is None else self.measured.place(self.published / 100)


@dataclass(frozen=True)
class Evaluation:
    """An evaluation: network, images and answers."""

    subject: Subject
    """The network."""
    source: str
    """The folder or table of the images, as it was given."""
    named: NamedImages
    """The images as they were found."""
    answers: Answers
    """The answers of the network."""

    @property
    def measures(self) -> list[Measure]:
        """Top-1 and, for a network of more than five classes, top-5."""
        published = self.subject.published
        measures = [Measure("top-1", self.answers.top1, published.top1 if published else None)]
        if self.answers.has_top5:
            measures.append(Measure("top-5", self.answers.top5, published.top5 if published else None))
        return measures

    @property
    def shows_all_classes(self) -> bool:
        """Whether there is an answered image of each class, as in the data that published accuracies are for."""
        return len(self.answers.classes) == len(self.answers.labels)

    @property
    def images_per_second(self) -> float:
        """Images per second of decoding and classifying."""
        return len(self.answers.rank) / self.answers.seconds

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as data that `json` can write; shares are 0 to 1."""
        answers, subject = self.answers, self.subject
        return {
            "model": subject.model,
            "version": subject.version,
            "weights": subject.weights,
            "source": self.source,
            "images": answers.top1.total,
            "classes": {"network": len(answers.labels), "with_images": len(answers.classes)},
            **{measure.name.replace("-", ""): _measure(measure) for measure in self.measures},
            "published_by": subject.published.source if subject.published else None,
            "images_per_second": round(self.images_per_second, 1),
            "per_class": [_class(result, answers) for result in answers.classes],
            "confusions": [_confusion(confusion, answers.labels) for confusion in answers.confusions],
            "unreadable": [
                {"path": answers.images.paths[index], "error": reason} for index, reason in answers.unreadable.items()
            ],
            "empty_classes": list(self.named.empty),
            "ignored_files": len(self.named.ignored),
        }


def _measure(measure: Measure) -> dict[str, Any]:
    low, high = measure.measured.interval
    return {
        "value": measure.measured.value,
        "right": measure.measured.count,
        "low": low,
        "high": high,
        "published": None if measure.published is None else round(measure.published / 100, 6),
        "published_is": measure.place,
    }


def _class(result: ClassResult, answers: Answers) -> dict[str, Any]:
    return {
        **_label(answers.labels, result.index),
        "images": result.top1.total,
        "top1": result.top1.value,
        **({"top5": result.top5.value} if answers.has_top5 else {}),
        "mistaken_for": None
        if result.mistaken_for is None
        else {**_label(answers.labels, result.mistaken_for), "count": result.mistakes},
    }


def _confusion(confusion: Confusion, labels: Sequence[Label]) -> dict[str, Any]:
    return {
        "label": _label(labels, confusion.right),
        "predicted": _label(labels, confusion.predicted),
        "count": confusion.images,
    }


def _label(labels: Sequence[Label], index: int) -> dict[str, Any]:
    return {"index": index, "label": labels[index].name, "wordnet_id": labels[index].wordnet_id}
