"""Whether the card of a version describes its graph: a card is a text file, and may have been edited or copied."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from keras_archs.repository.artifact import ArtifactError
from keras_archs.repository.artifact_card import ArtifactCard

Shape = Sequence[int | None]
"""Sizes of the axes of a tensor; None for any size."""


def check_name(card: ArtifactCard, version_dir: Path) -> None:
    """Compare the card of a version with the name of the model's folder, or of the folder that it is a link to.

    Raises:
        ArtifactError: The card is that of another model.
    """
    folder = version_dir.parent.name
    if card.name not in {folder, version_dir.resolve().parent.name}:
        raise ArtifactError(
            f"the card of version {version_dir.name} is that of a model named {card.name!r}, but the model's folder is "
            f"{folder!r}; publish the model under this name"
        )


def check_fit(card: ArtifactCard, images: Shape, probabilities: Shape) -> None:
    """Compare the card of a version with the shapes of its graph.

    Args:
        card: Card of the version.
        images: Shape of the graph's input, with the batch.
        probabilities: Shape of the graph's output, with the batch.

    Raises:
        ArtifactError: The graph takes other images, or has another number of classes, than the card says.
    """
    size = (*card.preprocessing.size, card.preprocessing.channels)
    if len(images) != 4 or any(given not in (None, expected) for given, expected in zip(images[1:], size, strict=True)):
        raise ArtifactError(
            f"the card of {card.name!r} says images of the shape {size}, height, width and channels, "
            f"but the graph takes {_text(images)}; publish a new version"
        )
    if len(probabilities) != 2 or probabilities[1] not in (None, len(card.labels)):
        raise ArtifactError(
            f"the card of {card.name!r} has {len(card.labels)} labels, but the graph answers with the shape "
            f"{_text(probabilities)}, images and classes; publish a new version"
        )


def _text(shape: Shape) -> str:
    return "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"
