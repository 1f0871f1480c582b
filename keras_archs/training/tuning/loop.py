"""The loop of a training: steps, validations, checkpoints, and when it ends."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np

from keras_archs.layers.nested import fast_statistics, normalisations
from keras_archs.training.data.batches import Batch, TrainingBatches
from keras_archs.training.tuning.checkpoints import Checkpoint, Checkpoints, Course, Weights, replacing
from keras_archs.training.tuning.distributed import Team
from keras_archs.training.tuning.fused_normalisation import fused_normalisation
from keras_archs.training.tuning.history import EpochMetrics
from keras_archs.training.tuning.interruption import Interruption
from keras_archs.training.tuning.optimizers import make_optimizer
from keras_archs.training.tuning.pace import Pace
from keras_archs.training.tuning.precision import has_bfloat16, in_bfloat16
from keras_archs.training.tuning.recipe import Recipe
from keras_archs.training.tuning.schedule import learning_rate
from keras_archs.training.tuning.validation import Score, Validation

CHECKPOINT_SECONDS: Final = 120.0
"""Longest time between two checkpoints, but for the duration of a step."""

STATISTICS_IMAGES: Final = 256
"""Images that moving statistics average over if a quarter of an epoch has fewer."""

BEST: Final = "best.keras"
"""File beside the checkpoints: the network with its best weights so far, which `keras.models.load_model` reads."""


class DivergenceError(ValueError):
    """The loss is no longer a finite number."""


@dataclass(frozen=True)
class Watchers:
    """Functions that are told about the course of a training."""

    on_epoch: Callable[[EpochMetrics], None]
    on_step: Callable[[int, int], None]
    callbacks: Sequence[keras.callbacks.Callback]


class Training:
    """A training of a network; `run` goes through it, from the newest checkpoint on.

    Args:
        model: The network, whose weights are changed.
        recipe: Optimizer, schedule and regularisation.
        batches: Batches of training images.
        validation: Validation images.
        pace: The time that was used, and the limit.
        checkpoints: Folder of checkpoints; None to write none.
        folder: Folder for the best weights; None to write none.
        watchers: Functions that are told.
        frozen: Whether batch normalisation stays as it is.
        seed: Seed of random numbers that no variable of the network holds.
        team: The processes that train together, in whose scope `run` is called.
    """

    def __init__(
        self,
        model: keras.Model,
        recipe: Recipe,
        batches: TrainingBatches,
        validation: Validation,
        pace: Pace,
        *,
        checkpoints: Checkpoints | None,
        folder: Path | None,
        watchers: Watchers,
        frozen: bool,
        seed: int,
        team: Team,
    ) -> None:
        self._model = model
        self._recipe = recipe
        self._batches = batches
        self._validation = validation
        self._pace = pace
        self._checkpoints = checkpoints
        self._folder = folder
        self._watchers = watchers
        self._frozen = frozen
        self._seed = seed
        self._team = team
        self._per_epoch = batches.steps_per_epoch
        self._planned = recipe.epochs * self._per_epoch
        self._course = Course()
        self._best: Weights = ()
        self._twin = keras.models.clone_model(model) if folder else None  # for best.keras: neither frozen nor compiled
        self._interruption = Interruption()
        self._saved_at = time.monotonic()

    @property
    def history(self) -> tuple[EpochMetrics, ...]:
        """Numbers of the finished epochs."""
        return tuple(self._course.history)

    @property
    def _averaged_steps(self) -> float:
        """Number of steps that moving statistics average over, so that they are right at the end of an epoch."""
        steps = max(self._per_epoch / 4, STATISTICS_IMAGES / self._recipe.batch)
        return max(2.0, min(steps, self._planned / 8))

    def run(self, checkpoint: Checkpoint | None, *, measure_first: bool) -> str | None:
        """Train, and give the network the weights of its least validation loss.

        Args:
            checkpoint: State to go on from; None to begin.
            measure_first: Whether the first weights are validated, as those of a fitted head, before the first step.

        Returns:
            Why the training ended before its last epoch; None if it did not.

        Raises:
            DivergenceError: The loss is not finite.
            ValueError: No image can be read.
        """
        stopped: str | None = None
        with ExitStack() as contexts:
            contexts.enter_context(self._interruption)
            if self._frozen:
                contexts.enter_context(_frozen_normalisation(self._model))
            else:
                contexts.enter_context(fast_statistics(self._model, 1 - 1 / self._averaged_steps))
                contexts.enter_context(fused_normalisation(self._model))
            if self._recipe.mixed_precision and has_bfloat16():
                contexts.enter_context(in_bfloat16(self._model))
            self._compile()
            if checkpoint:
                self._restore(checkpoint)
            try:
                if measure_first and not self._course.history:
                    self._end_epoch()
                stopped = self._steps()
                if not self._best:
                    self._validate(cancellable=False)
            except KeyboardInterrupt:
                if self._interruption.requested or not self._best or self._team.processes > 1:
                    raise
                stopped = "interrupted"
        _assign(self._model.weights, self._best)
        return stopped

    def _compile(self) -> None:
        self._model.compile(
            optimizer=make_optimizer(self._recipe, self._model, self._planned),
            loss=keras.losses.CategoricalCrossentropy(label_smoothing=self._recipe.label_smoothing),
            # A metric by name would make its variables in the first trace of the step, and need a second trace.
            metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
            # TensorFlow's compiled functions are slow on CPUs, and cannot leave out a block of stochastic depth.
            jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",
        )

    def _steps(self) -> str | None:
        """Go through the steps, and return why they ended early."""
        model, course = self._model, self._course
        callbacks = keras.callbacks.CallbackList(
            list(self._watchers.callbacks), model=model, epochs=self._recipe.epochs, steps=self._per_epoch, verbose=0
        )
        model.stop_training = False
        callbacks.on_train_begin()
        batches = self._batches.iterate(course.step)
        began = time.monotonic()
        try:
            while left := self._team.share(self._steps_left()):
                epoch, number = divmod(course.step, self._per_epoch)
                if number == 0:
                    callbacks.on_epoch_begin(epoch)
                callbacks.on_train_batch_begin(number)
                loss, accuracy = self._step(next(batches))
                course.step += 1
                course.progress += (1 - course.progress) / left
                course.loss += loss
                course.accuracy += accuracy
                callbacks.on_train_batch_end(number, {"loss": loss, "accuracy": accuracy})
                self._watchers.on_step(course.step, course.step + left - 1)
                self._pace.add_step(time.monotonic() - began)
                if number + 1 == self._per_epoch or left == 1:
                    self._end_epoch(callbacks)
                elif time.monotonic() - self._saved_at > CHECKPOINT_SECONDS:
                    self._save()
                wish = "interrupted" if self._interruption.requested else "callback" if model.stop_training else None
                stopped = next(filter(None, self._team.gather(wish)), None)
                if stopped == "interrupted":
                    self._save()
                if stopped:
                    return stopped
                began = time.monotonic()
        finally:
            batches.close()
            callbacks.on_train_end()
        return "time limit" if course.step < self._planned else None

    def _steps_left(self) -> int:
        """Return the number of steps to come; 0 if the schedule is through, whatever time there is."""
        if self._course.progress > 1 - 1e-9:
            return 0
        return self._pace.fitting_steps(self._course.step, self._planned - self._course.step, self._per_epoch)

    def _step(self, batch: Batch) -> tuple[float, float]:
        """Train on a batch, and return its loss and accuracy."""
        rate = learning_rate(self._recipe, self._course.progress)
        self._model.optimizer.learning_rate = rate
        if keras.backend.backend() == "torch":
            _seed_torch(self._seed, self._course.step)
        loss, accuracy = self._model.train_on_batch(batch.images, batch.targets)
        if not math.isfinite(loss):
            raise DivergenceError(
                f"the loss is {float(loss)} in epoch {self._course.step // self._per_epoch + 1}, at a learning rate of "
                f"{rate:.3g}: train with a lower one, e.g. learning_rate={self._recipe.learning_rate / 10:.3g}"
            )
        return float(loss), float(accuracy)

    def _validate(self, *, cancellable: bool) -> Score | None:
        """Validate, and keep the weights if they are the best so far; None if Ctrl-C cancelled it."""
        course = self._course
        with _averaged(self._model):
            alone = self._team.processes == 1
            measured = self._validation.measure(
                self._model, lambda: alone and cancellable and bool(self._best) and self._interruption.requested
            )
            if measured is None:
                return None
            score = Score(*self._team.share(measured))
            if not math.isfinite(score.loss):
                raise DivergenceError(
                    f"the validation loss is {score.loss} after {course.step} steps: train with a lower rate, e.g. "
                    f"learning_rate={self._recipe.learning_rate / 10:.3g}"
                )
            if course.best_loss is None or score.loss < course.best_loss:
                course.best_loss = score.loss
                self._best = _copies(self._model.weights)
                self._save_best()
        return score

    def _end_epoch(self, callbacks: keras.callbacks.CallbackList | None = None) -> None:
        """Validate, tell the watchers, and write a checkpoint."""
        began = time.monotonic()
        course = self._course
        score = self._validate(cancellable=True)
        if score is None:
            return
        steps = (course.step - 1) % self._per_epoch + 1 if course.step else 0
        metrics = EpochMetrics(
            epoch=math.ceil(course.step / self._per_epoch),
            step=course.step,
            seconds=self._pace.seconds,
            learning_rate=float(self._model.optimizer.learning_rate) if steps else 0.0,
            loss=course.loss / steps if steps else math.nan,
            accuracy=course.accuracy / steps if steps else math.nan,
            validation_loss=score.loss,
            validation_accuracy=score.accuracy,
        )
        course.history.append(metrics)
        course.loss = course.accuracy = 0.0
        self._save()
        self._pace.add_validation(time.monotonic() - began)
        self._watchers.on_epoch(metrics)
        if callbacks:
            logs = {
                "loss": metrics.loss,
                "accuracy": metrics.accuracy,
                "val_loss": score.loss,
                "val_accuracy": score.accuracy,
                "learning_rate": metrics.learning_rate,
            }
            callbacks.on_epoch_end(metrics.epoch - 1, logs)

    def _save(self) -> None:
        """Write a checkpoint."""
        self._saved_at = time.monotonic()
        if self._checkpoints:
            self._course.seconds = self._pace.seconds
            model, optimizer = _copies(self._model.variables), _copies(self._model.optimizer.variables)
            self._checkpoints.save(Checkpoint(self._course, model, optimizer, self._best))

    def _save_best(self) -> None:
        """Write the network with its best weights."""
        if self._folder and self._twin:
            self._twin.set_weights(self._best)
            with replacing(self._folder / BEST) as incoming:
                self._twin.save(incoming)

    def _restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint."""
        self._course = checkpoint.course
        self._best = checkpoint.best
        _assign(self._model.variables, checkpoint.model)
        _assign(self._model.optimizer.variables, checkpoint.optimizer)


@contextmanager
def _frozen_normalisation(model: keras.Model) -> Iterator[None]:
    """Let batch normalisation work as in inference within the context, its weights not trained."""
    trained = [layer for layer in normalisations(model) if layer.trainable]
    try:
        for layer in trained:
            layer.trainable = False
        yield
    finally:
        for layer in trained:
            layer.trainable = True


@contextmanager
def _averaged(model: keras.Model) -> Iterator[None]:
    """Give a network the averages of its trained weights within the context, if its optimizer averages."""
    if not (model.optimizer.use_ema and int(model.optimizer.iterations)):
        yield
        return
    weights = _copies(model.trainable_variables)
    try:
        model.optimizer.finalize_variable_values(model.trainable_variables)
        # JAX would let the prediction delete arrays that network and optimizer share
        _assign(model.trainable_variables, _copies(model.trainable_variables))
        yield
    finally:
        _assign(model.trainable_variables, weights)


def _copies(variables: Sequence[keras.Variable]) -> list[np.ndarray[Any, Any]]:
    tensors = map(keras.ops.convert_to_tensor, variables)
    return [np.array(keras.ops.convert_to_numpy(tensor)) for tensor in tensors]


def _assign(variables: Sequence[keras.Variable], values: Sequence[np.ndarray[Any, Any]]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _seed_torch(seed: int, step: int) -> None:
    """Begin anew the generator that Keras lets Torch draw dropout from, whose state no checkpoint has."""
    import torch

    torch.manual_seed(int(np.random.SeedSequence((seed, step)).generate_state(1)[0]))
