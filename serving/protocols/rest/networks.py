"""What the registry knows of the network and of the weights of a published version, from the version's card alone."""

from __future__ import annotations

from keras_archs.cards.model_card import ModelCard
from keras_archs.cards.published_weights import entries
from keras_archs.registry import card_for
from keras_archs.repository.artifact_card import ArtifactCard
from serving.protocols.rest.schemas import AccuracyOut, NetworkOut

_ENDS = frozenset({"classes", "classifier_activation", "include_top", "input_shape", "name", "pooling", "prefix"})
"""Arguments of a builder that change the ends of a network, but not the network of the registry between them."""


def network_out(card: ArtifactCard) -> NetworkOut | None:
    """Return the registry's network that a version was built of; None if the registry does not have it."""
    network = _network(card)
    if network is None:
        return None
    return NetworkOut(
        name=network.name,
        title=network.title,
        paper=network.paper.title,
        year=network.paper.year,
        arxiv=network.paper.arxiv,
        size=network.cost.size,
        parameters=network.cost.parameters,
        macs=network.cost.macs,
    )


def accuracy_out(card: ArtifactCard) -> AccuracyOut | None:
    """Return the accuracy that was published for the weights of a version; None if they were changed since."""
    network = _network(card)
    if network is None or card.weights.sha256 is None:  # only unchanged weights have a checksum
        return None
    for entry in entries(network.name):
        if entry.top1 and any(file.description == card.weights.source for file in entry.files):
            return AccuracyOut(top1=entry.top1.value, dataset=entry.dataset, source=entry.top1.source)
    return None


def _network(card: ArtifactCard) -> ModelCard | None:
    # a card may have been edited by hand, so its architecture may be anything
    architecture = card.architecture or {}
    builder, arguments = architecture.get("builder"), architecture.get("arguments")
    if not isinstance(builder, str) or not isinstance(arguments, dict):
        return None
    network = card_for(builder, arguments)
    if network is None or arguments.keys() - network.arguments.keys() - _ENDS:
        return None
    return network
