"""The accuracy that the authors of a version's weights state."""

from __future__ import annotations

from keras_archs.cards import published_weights
from keras_archs.cards.weights_entry import WeightsEntry
from keras_archs.registry import card_for
from keras_archs.repository.artifact_card import ArtifactCard
from keras_archs.training.evaluation.summary import PublishedAccuracy


def published_accuracy(card: ArtifactCard) -> PublishedAccuracy | None:
    """Return the published accuracy of a version's weights.

    Args:
        card: Card of the version.

    Returns:
        None if the weights are not published weights as they were loaded, if the version has other preprocessing than
        they had when their accuracy was measured, or if no accuracy was published.
    """
    entry = next((entry for entry in _entries(card) if _is_of(card, entry)), None)
    if entry is None or entry.top1 is None:
        return None
    return PublishedAccuracy(entry.top1.value, entry.top5, entry.top1.source)


def _entries(card: ArtifactCard) -> tuple[WeightsEntry, ...]:
    if card.architecture is None:
        return ()
    network = card_for(card.architecture["builder"], card.architecture["arguments"])
    return published_weights.entries(network.name) if network else ()


def _is_of(card: ArtifactCard, entry: WeightsEntry) -> bool:
    # weights that were changed since have a source in other words
    has_source = any(card.weights.source == file.description for file in entry.files)
    return has_source and card.preprocessing == entry.preprocessing
