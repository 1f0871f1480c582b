"""Train a whole network: on first weights whose head is fitted first, or from scratch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from keras_archs.cards.origin import origin_of
from keras_archs.images.preprocessing import Preprocessing
from keras_archs.training.data.batches import TrainingBatches
from keras_archs.training.data.dataset import Dataset
from keras_archs.training.heads.fit_head import fit_head
from keras_archs.training.networks import NetworkChoice, build_network
from keras_archs.training.tuning.distributed import ALONE, Team
from keras_archs.training.tuning.history import EpochMetrics
from keras_archs.training.tuning.recipe import Recipe
from keras_archs.training.tuning.recipes import RECIPES

if TYPE_CHECKING:
    import keras

_HEAD_SECONDS: Final = 30.0
"""Longest search for the strength of a head's regularisation."""

_HEAD_SHARE: Final = 0.1
"""Share of a time limit that the search may take."""


@dataclass(frozen=True)
class FineTuned:
    """A trained network with the weights of its best epoch."""

    model: keras.Model
    """The network with the weights of the least validation loss; publish it with `export_model`."""
    preprocessing: Preprocessing
    """Preprocessing that the network was trained with; give it to `export_model`."""
    history: tuple[EpochMetrics, ...]
    """Numbers of each epoch; the first entry, epoch 0, is the fitted head's, if one was fitted."""
    stopped: str | None
    """Why the training ended before its last epoch: "time limit", "interrupted" or "callback"; None if it did not."""
    unreadable: dict[str, str]
    """Why an image could not be read, by its path."""


def fine_tune(
    data: Dataset,
    network: str | NetworkChoice | keras.Model = "efficientnet-lite0",
    *,
    recipe: Recipe = RECIPES["fine-tune"],
    preprocessing: Preprocessing | None = None,
    time_limit: float | None = None,
    seed: int = 0,
    checkpoints: Path | None = None,
    on_epoch: Callable[[EpochMetrics], None] = lambda metrics: None,
    on_step: Callable[[int, int], None] = lambda step, steps: None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    team: Team = ALONE,
) -> FineTuned:
    """Train a whole network, and return it with the weights of its least validation loss.

    A network with first weights gets a fitted head before its first step (`fit_head`), so that the steps do not distort
    its features (Kumar et al. 2022); then all of its weights are trained. Ctrl-C ends the training after the step in
    progress, with the best weights so far; a second Ctrl-C ends it at once. Works on every backend of Keras.

    Example:
        ::

            from keras_archs.training import RECIPES, fine_tune, image_folder

            data = image_folder("photos")
            tuned = fine_tune(data, recipe=RECIPES["fine-tune"], time_limit=600, checkpoints=Path("checkpoints"))
            keras_archs.export_model(tuned.model, "models", name="flowers", labels=data.classes,
                                     preprocessing=tuned.preprocessing, trained_on="photographs of flowers")

    Args:
        data: Images to train and to validate with.
        network: A name in the registry, whose default weights are the first ones; a `NetworkChoice`, which trains from
            scratch if it has no weights; or a model with an output of K probabilities, which is trained as it is,
            without fitting a head.
        recipe: Optimizer, schedule, regularisation and augmentation.
        preprocessing: Size and normalisation of the images; None for those of the network's weights.
        time_limit: Seconds that the training may take altogether, validations and the head included, from 0; the
            schedule is shortened to fit. None for no limit.
        seed: Seed of the first weights, of order and augmentation of the images, and of dropout.
        checkpoints: Folder of checkpoints, written at the end of each epoch and every two minutes, and of
            `best.keras`. A training goes on from the newest checkpoint there, with the same numbers as if it had not
            ended. None to write none.
        on_epoch: Called at the end of each epoch.
        on_step: Called after each step with the number of finished and of planned steps.
        callbacks: Keras' callbacks, which see the same events as in `fit`.
        team: The processes that train together, from `distributed`; each calls this function with the same arguments,
            and process 0 alone writes files. Only process 0 fits the head.

    Raises:
        CheckpointError: The checkpoints in the folder are those of another training.
        DivergenceError: The loss is no longer finite; the message names a lower learning rate.
        ValueError: An argument is not allowed, or no image of a batch or of the validation images can be read.
    """
    import keras

    from keras_archs.training.tuning.checkpoints import Checkpoints
    from keras_archs.training.tuning.loop import Training, Watchers
    from keras_archs.training.tuning.pace import Pace
    from keras_archs.training.tuning.validation import Validation

    if time_limit is not None and not time_limit >= 0:
        raise ValueError(f"time_limit must be at least 0 seconds, got {time_limit}")
    recipe = replace(recipe, augmentation=replace(recipe.augmentation, flip=recipe.augmentation.flip and data.may_flip))
    team.check_batch(recipe.batch)
    pace = Pace(time_limit)
    keras.utils.set_random_seed(seed)
    choice = NetworkChoice.pretrained(network) if isinstance(network, str) else network
    identity = {
        "recipe": json.dumps(asdict(recipe)),
        "images": _digest(data),
        "network": repr(choice) if isinstance(choice, NetworkChoice) else repr([v.shape for v in choice.weights]),
        "seed": str(seed),
    }
    for name, value in identity.items():
        team.check_same(f"the {name}", hashlib.sha256(value.encode()).hexdigest())
    store = Checkpoints(checkpoints, identity) if checkpoints else None
    checkpoint = store.load() if store else None
    team.check_same("the newest checkpoint in the folder, which all must see,", checkpoint and checkpoint.course.step)
    if checkpoint:
        pace.add_used(checkpoint.course.seconds)
    first = _first_weights(data, choice, preprocessing, time_limit, seed, fit=checkpoint is None and team.is_first)
    if first.model.output_shape[-1] != len(data.classes):
        raise ValueError(f"the network has {first.model.output_shape[-1]} outputs for {len(data.classes)} classes")
    from_scratch = isinstance(choice, NetworkChoice) and choice.weights is None
    batches = TrainingBatches(
        data.train,
        len(data.classes),
        first.preprocessing,
        recipe.augmentation,
        batch=recipe.batch,
        seed=seed,
        process=team.process,
        processes=team.processes,
    )
    validation = Validation(data.validation, first.preprocessing, recipe.batch, team)
    trained = team.spread(first.model)
    training = Training(
        trained,
        recipe,
        batches,
        validation,
        pace,
        checkpoints=store if team.is_first else None,
        folder=checkpoints if team.is_first else None,
        watchers=Watchers(on_epoch, on_step, callbacks),
        frozen=recipe.freeze_statistics and not from_scratch,
        seed=seed,
        team=team,
    )
    with team.scope():
        stopped = training.run(checkpoint, measure_first=not from_scratch)
    if trained is not first.model:
        first.model.set_weights(trained.get_weights())
    unreadable: dict[str, str] = {}
    for found in team.gather(first.unreadable | batches.unreadable | validation.unreadable):
        unreadable |= found
    return FineTuned(first.model, first.preprocessing, training.history, stopped, unreadable)


class _FirstWeights(NamedTuple):
    model: keras.Model
    preprocessing: Preprocessing
    unreadable: dict[str, str]


def _first_weights(
    data: Dataset,
    network: NetworkChoice | keras.Model,
    preprocessing: Preprocessing | None,
    time_limit: float | None,
    seed: int,
    *,
    fit: bool,
) -> _FirstWeights:
    """Return the network that training begins with: if `fit`, with a fitted head where it has first weights."""
    if not isinstance(network, NetworkChoice):
        from keras_archs.export.provenance import registered_preprocessing

        own = preprocessing or registered_preprocessing(network, origin_of(network))
        return _FirstWeights(network, own, {})
    if not fit or network.weights is None:
        model, own = build_network(network, len(data.classes))
        return _FirstWeights(model, preprocessing or own, {})
    limit = _HEAD_SECONDS if time_limit is None else min(_HEAD_SECONDS, _HEAD_SHARE * time_limit)
    head = fit_head(data, network, time_limit=limit, seed=seed)
    unreadable = {
        images.paths[position]: reason
        for images, features in ((data.train, head.train_features), (data.validation, head.validation_features))
        for position, reason in features.unreadable.items()
    }
    return _FirstWeights(head.model, preprocessing or head.preprocessing, unreadable)


def _digest(data: Dataset) -> str:
    """Return a digest of the classes, and of the paths and classes of the images."""
    digest = hashlib.sha256(repr(data.classes).encode())
    for images in (data.train, data.validation):
        digest.update(repr(list(images.paths)).encode())
        digest.update(np.asarray(images.classes, np.int32).tobytes())
    return digest.hexdigest()
