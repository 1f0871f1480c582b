"""Training of a whole network: what is trained, what comes back, and how it ends."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keras_archs.training.data.augmentation import Augmentation
from keras_archs.training.data.batches import TrainingBatches
from keras_archs.training.data.dataset import Dataset
from keras_archs.training.tuning import fine_tune as module
from keras_archs.training.tuning import loop, pace
from keras_archs.training.tuning.fine_tune import FineTuned, fine_tune
from keras_archs.training.tuning.history import EpochMetrics
from keras_archs.training.tuning.loop import BEST, DivergenceError
from keras_archs.training.tuning.recipe import Recipe
from keras_archs.training.tuning.recipes import RECIPES
from keras_archs.training.tuning.validation import Validation
from tests.support.clock import Clock
from tests.support.slow import slow_except
from tests.support.tuning import PREPROCESSING, RECIPE, paint_shades, shades_network


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return paint_shades(tmp_path_factory.mktemp("shades"))


def tune(data: Dataset, recipe: Recipe = RECIPE, network: keras.Model | None = None, **options: Any) -> FineTuned:
    return fine_tune(data, network or shades_network(), recipe=recipe, preprocessing=PREPROCESSING, **options)


@pytest.fixture(scope="module")
def tuned(data: Dataset) -> tuple[FineTuned, list[tuple[int, int]], list[EpochMetrics]]:
    """A training of three epochs, with what the watchers were told."""
    steps: list[tuple[int, int]] = []
    epochs: list[EpochMetrics] = []
    result = tune(data, on_step=lambda step, of: steps.append((step, of)), on_epoch=epochs.append)
    return result, steps, epochs


def test_the_loss_falls(tuned: tuple[FineTuned, list[tuple[int, int]], list[EpochMetrics]]) -> None:
    first, *_, last = tuned[0].history
    assert last.validation_loss < 0.8 * first.validation_loss
    assert last.validation_accuracy > first.validation_accuracy
    assert tuned[0].stopped is None
    assert tuned[0].unreadable == {}


def test_history_has_the_first_weights_and_each_epoch_and_watchers_are_told(
    tuned: tuple[FineTuned, list[tuple[int, int]], list[EpochMetrics]],
) -> None:
    result, steps, epochs = tuned
    assert [(metrics.epoch, metrics.step) for metrics in result.history] == [(0, 0), (1, 4), (2, 8), (3, 12)]
    assert list(result.history) == epochs
    assert steps == [(step, 12) for step in range(1, 13)]
    seconds = [metrics.seconds for metrics in epochs]
    assert seconds == sorted(seconds)
    assert np.isnan(epochs[0].loss)
    assert epochs[-1].learning_rate < epochs[1].learning_rate < 0.1


@pytest.mark.parametrize("name", slow_except(["fine-tune-strong"], RECIPES))
def test_each_recipe_trains(data: Dataset, name: str) -> None:
    result = tune(data, replace(RECIPES[name], epochs=1, batch=8))
    assert [metrics.epoch for metrics in result.history] == [0, 1]


def test_the_network_has_the_weights_of_the_least_validation_loss(data: Dataset) -> None:
    # a rate that grows too large after the first epochs would do; this one is too large from the second step on
    result = tune(data, replace(RECIPE, learning_rate=20.0, epochs=2))
    best = min(metrics.validation_loss for metrics in result.history)
    assert best < result.history[-1].validation_loss
    score = Validation(data.validation, PREPROCESSING, 8).measure(result.model)
    assert score is not None
    assert score.loss == pytest.approx(best, rel=1e-5)


def test_a_training_step_is_compiled_once(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    traces = []

    class Counted(keras.layers.Layer):
        def call(self, x: Any, training: bool = False) -> Any:
            if training:
                traces.append(1)
            return x

    images = keras.Input((8, 8, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(Counted()(images))
    network = keras.Model(images, keras.layers.Dense(3, activation="softmax")(pooled))
    monkeypatch.setattr(keras.models, "clone_model", lambda model: model)
    tune(data, replace(RECIPE, epochs=3), network)
    assert len(traces) == 1


def test_frozen_normalisation_stays_as_it_is_and_is_trainable_again_afterwards(data: Dataset) -> None:
    network = shades_network()
    normalisation = next(layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization))
    before = normalisation.get_weights()
    kernel = network.layers[1].get_weights()[0]
    tune(data, replace(RECIPE, epochs=1, freeze_statistics=True), network)
    assert all(np.array_equal(a, b) for a, b in zip(before, normalisation.get_weights(), strict=True))
    assert not np.array_equal(kernel, network.layers[1].get_weights()[0])
    assert normalisation.trainable
    assert normalisation.momentum == 0.99


def test_free_statistics_follow_even_a_short_training(data: Dataset) -> None:
    result = tune(data, replace(RECIPE, epochs=4, learning_rate=0.01))
    normalisation = next(layer for layer in result.model.layers if isinstance(layer, keras.layers.BatchNormalization))
    moving = keras.ops.convert_to_numpy(normalisation.moving_variance)
    pixels = np.concatenate([pixels for _, pixels in Validation(data.train, PREPROCESSING, 8)._batches()])
    convolved = result.model.layers[1](PREPROCESSING.normalize(pixels))
    true = keras.ops.convert_to_numpy(keras.ops.var(convolved, axis=(0, 1, 2)))
    assert moving == pytest.approx(true, rel=0.5)  # with a momentum of 0.99, 0.85 of it would be 1
    assert normalisation.momentum == 0.99


def test_an_average_of_the_weights_is_validated_and_returned(data: Dataset) -> None:
    class Last(keras.callbacks.Callback):
        def on_train_end(self, logs: Any = None) -> None:
            self.weights = self.model.get_weights()

    last = Last()
    averaged = tune(data, replace(RECIPE, ema=0.9, epochs=10), callbacks=[last])
    assert averaged.history[-1].validation_loss == min(m.validation_loss for m in averaged.history)
    assert not np.allclose(last.weights[0], averaged.model.get_weights()[0])
    score = Validation(data.validation, PREPROCESSING, 8).measure(averaged.model)
    assert score is not None
    assert score.loss == pytest.approx(averaged.history[-1].validation_loss, rel=1e-5)


def test_a_loss_that_is_not_finite_ends_the_training_with_a_lower_rate_to_try(data: Dataset) -> None:
    message = (
        r"the loss is nan in epoch \d, at a learning rate of .*: train with a lower one, e.g. learning_rate=1e\+29"
    )
    with pytest.raises(DivergenceError, match=message):
        tune(data, replace(RECIPE, learning_rate=1e30))


def test_images_are_never_mirrored_if_the_data_may_not_be(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Augmentation] = []

    class Batches(TrainingBatches):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            seen.append(arguments[3])
            super().__init__(*arguments, **options)

    monkeypatch.setattr(module, "TrainingBatches", Batches)
    tune(replace(data, may_flip=False), replace(RECIPE, epochs=1), time_limit=0)
    assert [augmentation.flip for augmentation in seen] == [False]


def test_keras_callbacks_see_the_events_of_fit_and_may_end_the_training(data: Dataset) -> None:
    events: list[Any] = []

    class Watch(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            events.append(("begin", self.params["epochs"], self.params["steps"]))

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            events.append((epoch, sorted(logs)))
            self.model.stop_training = epoch == 1

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            events.append(batch)

        def on_train_end(self, logs: Any = None) -> None:
            events.append("end")

    result = tune(data, callbacks=[Watch()])
    logs = ["accuracy", "learning_rate", "loss", "val_accuracy", "val_loss"]
    assert events == [("begin", 3, 4), 0, 1, 2, 3, (0, logs), 0, 1, 2, 3, (1, logs), "end"]
    assert result.stopped == "callback"


def test_ctrl_c_returns_the_best_weights_so_far(data: Dataset) -> None:
    def interrupt(step: int, steps: int) -> None:
        if step == 6:
            raise KeyboardInterrupt

    result = tune(data, on_step=interrupt)
    assert result.stopped == "interrupted"
    assert [metrics.epoch for metrics in result.history] == [0, 1]


def test_the_first_sigint_ends_the_training_in_order_and_is_followed_by_a_checkpoint(
    data: Dataset, tmp_path: Path
) -> None:
    def interrupt(step: int, steps: int) -> None:
        if step == 6:
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    result = tune(data, on_step=interrupt, checkpoints=tmp_path)
    assert result.stopped == "interrupted"
    assert (tmp_path / "step-000000006.npz").exists()
    assert signal.getsignal(signal.SIGINT) is before


@pytest.fixture
def heeded_sigint() -> Iterator[None]:
    """Python's own handler: a process that a shell starts in the background ignores SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded_sigint")
def test_a_second_sigint_ends_the_training_at_once(data: Dataset) -> None:

    def interrupt(step: int, steps: int) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        tune(data, on_step=interrupt)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock on which a validation takes 2 s; steps have to move it themselves."""
    clock = Clock()
    monkeypatch.setattr(pace, "time", clock)
    monkeypatch.setattr(loop, "time", clock)
    measure = Validation.measure

    def slow(self: Validation, *arguments: Any) -> Any:
        clock.now += 2
        return measure(self, *arguments)

    monkeypatch.setattr(Validation, "measure", slow)
    return clock


@pytest.mark.parametrize("limit", [20, 61])
def test_a_time_limit_shortens_the_schedule_to_its_end(data: Dataset, clock: Clock, limit: float) -> None:
    def step(step: int, steps: int) -> None:
        clock.now += 6 if step == 1 else 0.5  # compiles in the first step

    result = tune(data, replace(RECIPE, epochs=100), time_limit=limit, on_step=step)
    assert 0.9 * limit <= clock.now <= limit
    assert result.stopped == "time limit"
    assert result.history[-1].learning_rate < 0.05 * 0.1


def test_a_training_that_is_shorter_than_its_limit_is_not_shortened(data: Dataset, clock: Clock) -> None:
    result = tune(data, time_limit=1000)
    assert result.stopped is None
    assert result.history[-1].step == 12


def test_without_time_the_first_weights_are_returned(data: Dataset) -> None:
    network = shades_network()
    before = network.get_weights()
    result = tune(data, network=network, time_limit=0)
    assert result.stopped == "time limit"
    assert [metrics.epoch for metrics in result.history] == [0]
    assert all(np.array_equal(a, b) for a, b in zip(before, result.model.get_weights(), strict=True))


def test_the_best_weights_are_in_a_file_that_keras_loads(data: Dataset, tmp_path: Path) -> None:
    result = tune(data, replace(RECIPE, epochs=1, freeze_statistics=True), checkpoints=tmp_path)
    loaded = keras.models.load_model(tmp_path / BEST)
    assert all(np.array_equal(a, b) for a, b in zip(result.model.get_weights(), loaded.get_weights(), strict=True))
    assert all(layer.trainable for layer in loaded.layers)
    assert getattr(loaded, "optimizer", None) is None


def test_mixed_precision_is_over_when_the_training_is(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "has_bfloat16", lambda: True)
    seen: list[str] = []
    network = shades_network()

    def look(step: int, steps: int) -> None:
        seen.extend({layer.compute_dtype for layer in network.layers[1:-1]})

    result = tune(data, replace(RECIPE, mixed_precision=True), network, on_step=look)
    assert set(seen) == {"bfloat16"}
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}
    assert {variable.dtype for variable in network.weights} == {"float32"}
    assert result.history[-1].validation_loss < result.history[0].validation_loss


def test_images_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    data = paint_shades(tmp_path)
    for name in ("train3.png", "validation0.png"):
        (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n")
    result = tune(data, replace(RECIPE, epochs=1))
    assert sorted(result.unreadable) == ["train3.png", "validation0.png"]


def test_if_no_validation_image_can_be_read_the_error_names_one(tmp_path: Path) -> None:
    data = paint_shades(tmp_path, validation=3)
    for path in tmp_path.glob("validation*"):
        path.write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"none of the 3 validation images can be read; validation0.png: "):
        tune(data)


def test_a_network_for_another_number_of_classes_is_refused(data: Dataset) -> None:
    with pytest.raises(ValueError, match="the network has 3 outputs for 2 classes"):
        tune(replace(data, classes=("dark", "grey")))


def test_a_network_without_probabilities_is_refused(data: Dataset) -> None:
    images = keras.Input((8, 8, 3))
    network = keras.Model(images, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(images)))
    with pytest.raises(ValueError, match='classifier_activation="softmax"'):
        tune(data, network=network)


def test_a_negative_time_limit_is_refused(data: Dataset) -> None:
    with pytest.raises(ValueError, match="time_limit must be at least 0 seconds, got -1"):
        tune(data, time_limit=-1)
