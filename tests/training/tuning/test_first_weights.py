"""What a training begins with: a fitted head on first weights, initial values, or a model as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from keras_archs.training.data.dataset import Dataset
from keras_archs.training.heads.features import Features
from keras_archs.training.networks import NetworkChoice
from keras_archs.training.tuning import fine_tune as module
from keras_archs.training.tuning.fine_tune import fine_tune
from tests.support.tuning import PREPROCESSING, RECIPE, paint_shades, shades_network

PRETRAINED = NetworkChoice("efficientnet-lite0", "imagenet")
ONE_EPOCH = replace(RECIPE, epochs=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return paint_shades(tmp_path_factory.mktemp("shades"))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Calls of `fit_head`, which gives `shades_network` the bias 1, as the registry's builder gives it none."""
    calls: list[dict[str, Any]] = []

    def fit_head(data: Dataset, network: NetworkChoice, **options: Any) -> Any:
        calls.append({"network": network, **options})
        model = shades_network()
        model.layers[-1].bias.assign([1.0, 0.0, 0.0])
        features = Features(np.zeros((1, 4), np.float32), {5: "it is damaged"})
        return SimpleNamespace(
            model=model, preprocessing=PREPROCESSING, train_features=features, validation_features=replace(features)
        )

    def build_network(network: NetworkChoice, classes: int) -> tuple[keras.Model, Any]:
        calls.append({"built": network.weights})
        return shades_network(), PREPROCESSING

    monkeypatch.setattr(module, "fit_head", fit_head)
    monkeypatch.setattr(module, "build_network", build_network)
    return calls


def test_first_weights_get_a_fitted_head_which_is_epoch_0(data: Dataset, calls: list[dict[str, Any]]) -> None:
    tuned = fine_tune(data, PRETRAINED, recipe=ONE_EPOCH, seed=7)
    assert calls == [{"network": PRETRAINED, "time_limit": 30.0, "seed": 7}]
    assert [metrics.epoch for metrics in tuned.history] == [0, 1]
    assert tuned.unreadable == {"train5.png": "it is damaged", "validation5.png": "it is damaged"}
    assert tuned.preprocessing is PREPROCESSING


def test_the_search_for_a_head_takes_a_tenth_of_a_time_limit(data: Dataset, calls: list[dict[str, Any]]) -> None:
    fine_tune(data, PRETRAINED, recipe=ONE_EPOCH, time_limit=20)
    assert [call["time_limit"] for call in calls] == [2.0]


def test_without_first_weights_there_is_no_head_and_normalisation_is_trained(
    data: Dataset, calls: list[dict[str, Any]]
) -> None:
    tuned = fine_tune(data, NetworkChoice("resnet-20"), recipe=replace(ONE_EPOCH, freeze_statistics=True))
    assert calls == [{"built": None}]
    assert [metrics.epoch for metrics in tuned.history] == [1]
    assert not np.array_equal(tuned.model.layers[2].get_weights()[0], np.ones(4))


def test_a_training_that_goes_on_fits_no_second_head(
    data: Dataset, calls: list[dict[str, Any]], tmp_path: Path
) -> None:
    first = fine_tune(data, PRETRAINED, recipe=ONE_EPOCH, checkpoints=tmp_path)
    second = fine_tune(data, PRETRAINED, recipe=ONE_EPOCH, checkpoints=tmp_path)
    assert [set(call) for call in calls] == [{"network", "time_limit", "seed"}, {"built"}]
    assert repr(first.history) == repr(second.history)
    weights = zip(first.model.get_weights(), second.model.get_weights(), strict=True)
    assert all(np.array_equal(a, b) for a, b in weights)
