"""From a model's output to the probabilities that a version answers with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import keras

from keras_archs.layers.output_path import Activation, output_activation

_CATEGORICAL = (
    keras.losses.CategoricalCrossentropy,
    keras.losses.SparseCategoricalCrossentropy,
    keras.losses.CategoricalFocalCrossentropy,
)
"""Losses for images that show one class each."""
_REMEDY = (
    'give activation="softmax" if it is logits of classes of which an image shows one, activation="sigmoid" if it is '
    'logits of classes of which an image may show several, or activation="linear" if it is probabilities that add up '
    "to 1"
)


@dataclass(frozen=True)
class Answer:
    """What a model's output means.

    Attributes:
        classes: Number of classes that the answer has a probability of.
        activation: The function that turns the output into probabilities; "linear" if the output is probabilities.
        multi_label: Whether each class has a probability of its own, because an image may show several classes.
        pair: Whether the output is the probability p of the second of two classes; the answer is [1 - p, p].
    """

    classes: int
    activation: Activation
    multi_label: bool = False
    pair: bool = False

    def probabilities(self, output: Any) -> Any:
        """Return the probabilities float32 [N, classes] for the model's output [N, units]."""
        output = keras.ops.cast(output, "float32")
        if self.activation != "linear":
            output = {"softmax": keras.ops.softmax, "sigmoid": keras.ops.sigmoid}[self.activation](output)
        return keras.ops.concatenate([1 - output, output], axis=1) if self.pair else output


def answer_of(model: keras.Model, units: int, activation: Activation | None, labels: int | None) -> Answer:
    """Decide what a model's output means, from its graph and from what the caller says.

    Args:
        model: A functional or built sequential model with one output [N, units].
        units: Numbers that the model returns for each image.
        activation: The function that turns the output into probabilities, if the caller knows; else None.
        labels: Number of labels that the caller gave; None for no labels.

    Raises:
        ValueError: The graph does not show what the output means, or contradicts the caller.
    """
    if activation not in (None, *get_args(Activation)):
        raise ValueError(f"activation must be one of {', '.join(get_args(Activation))} or None; got {activation!r}")
    try:
        proven = output_activation(model)
    except ValueError as error:
        if activation is None:
            raise ValueError(f"{error}: {_REMEDY}") from error
        # a single unit can't add up to 1, so it stands for itself
        meaning = activation if activation != "linear" else "softmax" if units > 1 else "sigmoid"
        return _answer(activation, meaning, units, labels)
    if proven == "linear":
        if activation == "linear":
            raise ValueError(
                f"the output of {model.name!r} is logits, no probabilities: no activation follows its last layer. "
                'Give activation="softmax" or activation="sigmoid"'
            )
        applied = activation or _of_logits(model, units)
        return _answer(applied, applied, units, labels)
    if activation in ("softmax", "sigmoid"):
        raise ValueError(
            f"the output of {model.name!r} is that of a {proven} already; activation={activation!r} would apply "
            "another function to probabilities: leave activation out"
        )
    return _answer("linear", proven, units, labels)


def _of_logits(model: keras.Model, units: int) -> Activation:
    """Return the activation for logits, or refuse if it would be a guess."""
    if units == 1:
        raise ValueError(
            f"{model.name!r} returns one logit, which may be that of a class or a number of another kind: give "
            'activation="sigmoid" if the logit is that of a class'
        )
    for loss in keras.tree.flatten(getattr(model, "loss", None)):
        if loss is not None and not _expects_logits_of_one_class(loss):
            name = loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)
            raise ValueError(
                f"{model.name!r} returns logits but was compiled with the loss {name}, which is not a categorical "
                f"cross-entropy with from_logits=True, so that its output may not be logits of classes: {_REMEDY}"
            )
    return "softmax"


def _expects_logits_of_one_class(loss: object) -> bool:
    return isinstance(loss, _CATEGORICAL) and bool(loss.get_config().get("from_logits"))


def _answer(activation: Activation, meaning: Activation, units: int, labels: int | None) -> Answer:
    if meaning == "softmax":
        if units == 1:
            raise ValueError("a softmax over one class is always 1: a classifier with one unit ends in a sigmoid")
        return Answer(units, activation)
    if units > 1:
        return Answer(units, activation, multi_label=True)
    if labels == 2:
        return Answer(2, activation, pair=True)
    if labels == 1:
        return Answer(1, activation, multi_label=True)
    raise ValueError(
        "the model has one output, a probability: give two labels, of which it is the probability of the second, or "
        f"one label, if it is the probability that an image shows that class; got {labels or 'no'} labels"
    )
