"""A network with a sigmoid per class is served as independent scores, and the answer says so."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import keras
import numpy as np
import pytest

import keras_archs
from serving.app import create_app
from serving.settings import Settings
from tests.support.images import encode

IMAGE = np.full((8, 8, 3), 128, np.uint8)
BIASES = {"cat": 2.0, "dog": 1.0, "owl": -3.0}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three networks of which each answers with built-in logits: all classes for themselves, one of three, a pair."""
    repository = tmp_path_factory.mktemp("multi_label")
    for name, activation, labels in (
        ("tags", "sigmoid", list(BIASES)),
        ("kinds", "softmax", list(BIASES)),
        ("pair", "sigmoid", ["no cat", "cat"]),
    ):
        inputs = keras.Input((8, 8, 3))
        pooled = keras.layers.GlobalAveragePooling2D()(inputs)
        units = 1 if name == "pair" else 3
        head = keras.layers.Dense(units, activation=activation, kernel_initializer="zeros")
        model = keras.Model(inputs, head(pooled))
        head.bias.assign(list(BIASES.values())[:units])
        preprocessing = keras_archs.Preprocessing(size=(8, 8), mean=(0.0,) * 3, std=(255.0,) * 3)
        keras_archs.export_model(
            model, repository, name=name, labels=labels, preprocessing=preprocessing, trained_on="nothing"
        )
    return repository


def ask(repository: Path, model: str) -> tuple[Any, Any]:
    """Return the answer for one image, and the description of the model."""

    async def both() -> tuple[Any, Any]:
        app = create_app(Settings(repository=repository))
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://gateway") as client,
        ):
            answer = await client.post(f"/classify/{model}", content=encode(IMAGE, "PNG"))
            return answer.json(), (await client.get(f"/models/{model}")).json()

    return asyncio.run(both())


def test_scores_of_several_classes_stand_for_themselves(repository: Path) -> None:
    answer, model = ask(repository, "tags")
    assert (answer["multi_label"], model["multi_label"]) == (True, True)
    ((cat, dog, owl),) = answer["images"]
    assert [entry["label"] for entry in (cat, dog, owl)] == ["cat", "dog", "owl"]
    expected = [1 / (1 + np.exp(-bias)) for bias in BIASES.values()]
    assert [entry["score"] for entry in (cat, dog, owl)] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", ["kinds", "pair"])
def test_scores_of_one_class_add_up_to_1(repository: Path, name: str) -> None:
    answer, model = ask(repository, name)
    assert (answer["multi_label"], model["multi_label"]) == (False, False)
    (scores,) = answer["images"]
    assert scores[0]["label"] == "cat"
    assert sum(entry["score"] for entry in scores) == pytest.approx(1)
