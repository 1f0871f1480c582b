"""A recipe: everything that a training does besides network and data."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from keras_archs.training.data.augmentation import Augmentation

Optimizer = Literal["sgd", "adamw"]
Schedule = Literal["cosine", "steps"]
Decayed = Literal["kernels", "all"]


@dataclass(frozen=True)
class Recipe:
    """Optimizer, schedule, regularisation and augmentation of a training; `dataclasses.replace` changes single fields.

    Raises:
        ValueError: A value is not allowed.
    """

    optimizer: Optimizer = "sgd"
    """"sgd": stochastic gradient descent with momentum. "adamw": AdamW (Loshchilov and Hutter 2017) with the decay
    rates 0.9 and 0.999 of its moments."""
    learning_rate: float = 0.01
    """Largest rate, for a batch of `batch` images; above 0."""
    epochs: int = 10
    """Passes over the training images, at least 1; warm-up and schedule stretch with them."""
    batch: int = 32
    """Images of a step, at least 1."""
    schedule: Schedule = "cosine"
    """"cosine": the rate falls to 0 along half a cosine. "steps": the rate is multiplied by `decay` at each of the
    `milestones`."""
    warmup_epochs: float = 0.5
    """Epochs in which the rate rises from 0 in proportion to the steps; at least 0, and at most half of the epochs
    are used."""
    milestones: tuple[float, ...] = ()
    """Shares of the training, increasing, between 0 and 1; for "steps"."""
    decay: float = 0.1
    """Factor of the rate at each milestone, above 0, below 1; for "steps"."""
    momentum: float = 0.9
    """At least 0, below 1; for "sgd"."""
    nesterov: bool = True
    """Whether the momentum is Nesterov's; for "sgd"."""
    weight_decay: float = 0.0
    """"sgd": w times this number is added to the gradient of a weight w, as in the papers. "adamw": w is reduced by w
    times this number times the rate, as in its paper. At least 0."""
    decayed: Decayed = "kernels"
    """"kernels": kernels of dense layers and of convolutions, except depthwise ones. "all": every trained weight."""
    clip_norm: float | None = None
    """Largest norm of the gradient of all weights together, above 0; None for no limit."""
    label_smoothing: float = 0.0
    """Share of a target that is spread over all classes (Szegedy et al. 2015), at least 0, below 1."""
    ema: float = 0.0
    """Momentum of the exponential moving average of the weights, which is evaluated and kept in their place; 0 for
    none. A training of S steps uses at most 1 - 20 / S."""
    freeze_statistics: bool = False
    """Whether batch normalisation stays as it is in the first weights: it normalises by its moving statistics, and
    neither these nor its scale and shift are trained. A training without first weights ignores this."""
    mixed_precision: bool = False
    """Whether devices with bfloat16 arithmetic compute in it; the weights are float32."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """Random changes of the training images."""

    def __post_init__(self) -> None:
        _require(self, "optimizer", lambda v: v in get_args(Optimizer), f"one of {', '.join(get_args(Optimizer))}")
        _require(self, "schedule", lambda v: v in get_args(Schedule), f"one of {', '.join(get_args(Schedule))}")
        _require(self, "decayed", lambda v: v in get_args(Decayed), f"one of {', '.join(get_args(Decayed))}")
        _require(self, "learning_rate", lambda v: _is_number(v) and v > 0, "a number above 0")
        for name in ("epochs", "batch"):
            _require(self, name, lambda v: type(v) is int and v >= 1, "an integer of at least 1")
        for name in ("warmup_epochs", "weight_decay"):
            _require(self, name, lambda v: _is_number(v) and v >= 0, "a number of at least 0")
        for name in ("momentum", "label_smoothing", "ema"):
            _require(self, name, lambda v: _is_number(v) and 0 <= v < 1, "a number of at least 0 and below 1")
        _require(self, "decay", lambda v: _is_number(v) and 0 < v < 1, "a number between 0 and 1")
        _require(self, "clip_norm", lambda v: v is None or (_is_number(v) and v > 0), "a number above 0, or none")
        _require(self, "milestones", _are_milestones, "increasing numbers between 0 and 1")
        if (self.schedule == "steps") != bool(self.milestones):
            raise ValueError(
                f"a schedule of steps needs milestones, and no other schedule has any; got schedule={self.schedule!r} "
                f"with milestones={self.milestones!r}"
            )
        for name in ("nesterov", "freeze_statistics", "mixed_precision"):
            _require(self, name, lambda v: isinstance(v, bool), "true or false")


def _require(recipe: Recipe, name: str, allowed: Callable[[Any], bool], words: str) -> None:
    value = getattr(recipe, name)
    if not allowed(value):
        raise ValueError(f"{name} of a recipe must be {words}; got {value!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _are_milestones(values: object) -> bool:
    if not isinstance(values, tuple) or not all(_is_number(value) and 0 < value < 1 for value in values):
        return False
    return all(first < second for first, second in itertools.pairwise(values))
