"""What a version's card says of the model's weights: where they come from, and what belongs to them.

A checksum and a source are claims about the weights that were loaded. They are made for a model that still has these
weights; a model that was changed since is derived from them.
"""

from __future__ import annotations

from dataclasses import replace

import keras

from keras_archs.cards.origin import Origin, WeightsInfo
from keras_archs.cards.weights_entry import WeightsEntry
from keras_archs.images.labels import Label, imagenet_labels
from keras_archs.images.preprocessing import Preprocessing
from keras_archs.repository.artifact_card import Weights
from keras_archs.weights.fingerprint import fingerprint_of
from keras_archs.weights.loading import CLASSIFIER

CIFAR10_LABELS = tuple(
    map(Label, ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"))
)
"""The classes of CIFAR-10 in the order of its batches, which is the order of a network's outputs."""


def provenance(model: keras.Model, origin: Origin | None, *, trained_on: str | None, allow_untrained: bool) -> Weights:
    """Return the provenance of a model's weights.

    Args:
        model: The model.
        origin: Origin of the model; None if no builder of this package made it.
        trained_on: Data that the weights were trained on, in words; None for the origin of the weights.
        allow_untrained: Whether initial weights are allowed.

    Raises:
        ValueError: If the weights, or those of some layers, are initial values as far as is known, and neither
            `trained_on` nor `allow_untrained` is given.
    """
    loaded = origin.weights if origin else None
    licence = loaded.entry.licence if loaded and loaded.entry else None
    initial = _still_initial(model, loaded) if loaded else ()
    if trained_on:
        # only the user knows the layers in front of the network; the classifier's values are the initializer's
        initial = tuple(name for name in initial if name.endswith(CLASSIFIER))
    remarks = [f"initial values in {', '.join(initial)}"] if initial else []
    if trained_on:
        return Weights(trained=not initial, source="; ".join([trained_on, *remarks]), licence=licence)
    if initial and not allow_untrained:
        raise ValueError(
            f"the layers {', '.join(initial)} are untrained, because the weights that were loaded have no values for "
            "them: train the model, give trained_on='...' if they were trained before, or allow_untrained=True to "
            "publish initial values"
        )
    if loaded and origin:
        if loaded.adapted:
            channels = model.input_shape[-1]
            remarks.append(f"{', '.join(loaded.adapted)} adapted to {channels} channel{'s' if channels > 1 else ''}")
        changed = remarks or fingerprint_of(model, origin.arguments.get("prefix", "")) != loaded.fingerprint
        if not changed:
            return Weights(trained=True, source=loaded.source, sha256=loaded.sha256, licence=licence)
        source = "; ".join([f"derived from {loaded.source}", *remarks])
        return Weights(trained=not initial, source=source, licence=licence)
    if allow_untrained:
        return Weights(trained=False, source="none")
    raise ValueError(
        "the provenance of this model's weights is unknown: give trained_on='...' if you trained the model, "
        "or allow_untrained=True to publish it with initial weights"
    )


def _still_initial(model: keras.Model, loaded: WeightsInfo) -> tuple[str, ...]:
    """Return the names of the layers that got no weights when the others did, and have not changed since."""
    layers = {layer.name: layer for layer in model.layers}
    return tuple(
        name for name, digest in loaded.untrained.items() if name in layers and fingerprint_of(layers[name]) == digest
    )


def registered_preprocessing(model: keras.Model, origin: Origin | None) -> Preprocessing:
    """Return the preprocessing of a model's weights, or else of its network, for the model's size and channels.

    A model for grey images takes the means of the three channels' numbers.

    Raises:
        ValueError: If the preprocessing is unknown, because no builder of this package made the model.
    """
    described = _entry(origin) or (origin.card if origin else None)
    if described is None:
        raise ValueError(
            "the preprocessing of this model is unknown, because no keras_archs builder made it in this process: "
            "give preprocessing=..., e.g. keras_archs.model_card('efficientnet-b0').preprocessing"
        )
    registered = described.preprocessing
    height, width = model.input_shape[1:3]
    if model.input_shape[-1] == 1:
        mean, std = (sum(values) / len(values) for values in (registered.mean, registered.std))
        registered = replace(registered, mean=(mean,), std=(std,))
    return replace(registered, size=(height or registered.size[0], width or registered.size[1]))


def registered_labels(classes: int, origin: Origin | None) -> tuple[Label, ...]:
    """Return the labels of the classes that the published weights tell apart, or else "class 0", "class 1", ..."""
    entry = _entry(origin)
    if entry and classes == entry.classes:
        published = {"imagenet": imagenet_labels(), "cifar10": CIFAR10_LABELS}[entry.dataset]
        if len(published) == classes:
            return published
    return tuple(Label(f"class {index}") for index in range(classes))


def _entry(origin: Origin | None) -> WeightsEntry | None:
    return origin.weights.entry if origin and origin.weights else None
