"""From images with known classes to a network with a classifier for them: the network stays as it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keras_archs.analysis.extras import import_extra
from keras_archs.images.preprocessing import Preprocessing
from keras_archs.training.data.dataset import Dataset
from keras_archs.training.heads.feature_cache import FeatureCache, default_folder
from keras_archs.training.heads.features import Features, features_of
from keras_archs.training.heads.logistic import Trial, fit_logistic
from keras_archs.training.heads.temperature import best_temperature, log_probabilities
from keras_archs.training.networks import NetworkChoice, build_network

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class TrainedHead:
    """A network with a fitted classifier, and how it was fitted."""

    model: keras.Model
    """The network, its last Dense layer fitted; publish it with `export_model`."""
    preprocessing: Preprocessing
    train_features: Features
    validation_features: Features
    strength: float
    """Inverse strength C of the regularisation, chosen by cross-validation."""
    trials: tuple[Trial, ...]
    """All strengths that were tried; none if no class has two training images."""
    temperature: float
    """Divisor of the logits, chosen on images that were held out: the validation images, and those of the folds."""
    validation_probabilities: NDArray[np.float64]
    """Probabilities of the readable validation images by scikit-learn and the temperature, [V, K]."""
    seconds: dict[str, float]
    """Time of each phase: "network" (import and build), "images" and "fit". Within "images": time of "graph" (from the
    network to OpenVINO), and processor time of "decode" and "inference", which overlap."""


def fit_head(
    data: Dataset,
    network: str | NetworkChoice = "efficientnet-lite0",
    *,
    time_limit: float = 30.0,
    seed: int = 0,
    cache: bool = True,
    on_progress: Callable[[int], None] = lambda done: None,
) -> TrainedHead:
    """Fit a classifier to the features of a frozen network.

    OpenVINO runs the network once per image, in float32. Multinomial logistic regression is fitted to the standardised
    features of the training images, its strength chosen by cross-validation. Then a temperature makes the probabilities
    those that the held-out images confirm. Standardisation, regression and temperature become the kernel and bias of
    the network's last Dense layer: what is published is the network and nothing else.

        data = image_folder("photos")
        head = fit_head(data)
        export_model(head.model, "models", name="flowers", labels=data.classes, trained_on=data.source)

    The steps are functions of their own::

        backbone = Backbone(model, preprocessing)
        features = features_of(data.train, backbone)
        logistic = fit_logistic(features.values, data.train.classes)
        backbone.classifier.set_weights(logistic.dense(temperature=1.0))

    Args:
        data: Images of at least two classes.
        network: A network of the registry, by name for its default weights.
        time_limit: Seconds after which no further strength is tried. The network's run over the images, one trial and
            the final fit always take place.
        seed: Seed of the division into folds.
        cache: Whether features are kept in Keras' folder (KERAS_HOME) for further trainings.
        on_progress: Called on the calling thread from time to time with the number of images so far.

    Raises:
        ValueError: A class has no training image that can be read, there is one class only, or the network has no
            default weights.
        ModuleNotFoundError: scikit-learn or OpenVINO is not installed; the extra `train` installs both.
    """
    if len(data.classes) < 2:
        raise ValueError(f"a classifier needs at least 2 classes; {data.source} has {len(data.classes)}")
    for package in ("sklearn.linear_model", "keras_archs.runtimes.silent_openvino"):
        import_extra(package, "train")  # before a minute of computing
    started = time.perf_counter()
    choice = NetworkChoice.pretrained(network) if isinstance(network, str) else network
    model, preprocessing = build_network(choice, len(data.classes))
    from keras_archs.training.heads.backbone import Backbone  # imports Keras

    backbone = Backbone(model, preprocessing)
    stored = FeatureCache(default_folder(), backbone.digest, backbone.dimension) if cache else None
    built = time.perf_counter()
    train = features_of(data.train, backbone, stored, on_progress=on_progress)
    count = len(data.train.paths)
    validation = features_of(data.validation, backbone, stored, on_progress=lambda done: on_progress(count + done))
    computed = time.perf_counter()
    classes = data.train.classes[train.readable]
    _check_every_class_is_there(classes, data.classes)
    logistic = fit_logistic(train.values[train.readable], classes, time_limit=time_limit, seed=seed)
    logits = logistic.logits(validation.values[validation.readable])
    temperature = best_temperature(
        np.concatenate([logistic.held_out_logits, logits]),
        np.concatenate([classes[logistic.held_out], data.validation.classes[validation.readable]]),
    )
    backbone.classifier.set_weights(logistic.dense(temperature))
    return TrainedHead(
        model=model,
        preprocessing=preprocessing,
        train_features=train,
        validation_features=validation,
        strength=logistic.strength,
        trials=logistic.trials,
        temperature=temperature,
        validation_probabilities=np.exp(log_probabilities(logits, temperature)),
        seconds={
            "network": built - started,
            "images": computed - built,
            "fit": time.perf_counter() - computed,
            **{key: train.seconds[key] + validation.seconds[key] for key in ("graph", "decode", "inference")},
        },
    )


def _check_every_class_is_there(classes: NDArray[np.int32], names: Sequence[str]) -> None:
    missing = [name for index, name in enumerate(names) if index not in classes]
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(names)} classes have no training image that can be read: "
            f"{', '.join(map(repr, missing[:5]))}{', ...' if len(missing) > 5 else ''}; add images to them"
        )
