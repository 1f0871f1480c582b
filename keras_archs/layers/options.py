"""Arguments that several builders share: default, documentation and check of each, written once.

A family lists its arguments in a ``TypedDict`` and takes the shared ones from here. `Override` changes the default, or
adds a sentence, for one family::

    class MobileNetV2Options(ClassifierOptions, total=False):
        dropout_rate: Annotated[DropoutRate, Override(default=0.2)]
        se_ratio: Annotated[SeRatio, Override(note="Placed after each depthwise convolution.")]
        drop_path_rate: DropPathRate
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, TypedDict, TypeGuard, get_args

import keras
import numpy as np

from keras_archs.cards.scaling import round_size

IMAGENET_CLASSES, CIFAR_CLASSES = 1000, 10

MIN_SIZE = 32
"""Least height and width in pixels of an ImageNet network's input, which the stages halve five times."""

BASELINE_SIZE = 224
"""Height and width in pixels of the input of every baseline of compound scaling."""


@dataclass(frozen=True)
class Option:
    """Default, documentation and check of one argument of a builder."""

    default: Any
    doc: str
    """Help text; names the allowed values, because the error for a value that is not allowed quotes it."""
    allowed: Callable[[Any], bool] = lambda _: True
    """Whether a value is allowed."""


_UNCHANGED: Any = object()


@dataclass(frozen=True)
class Override:
    """Changes that one family makes to a shared option."""

    default: Any = _UNCHANGED
    note: str = ""
    """Sentence to add to the help text."""

    def apply(self, option: Option) -> Option:
        """Return the option with these changes."""
        default = option.default if self.default is _UNCHANGED else self.default
        return replace(option, default=default, doc=f"{option.doc} {self.note}".rstrip())


def option_of(hint: Any) -> tuple[Any, Option]:
    """Return the type and the option of an argument.

    Args:
        hint: Annotated type with an `Option` and any number of `Override`, e.g. `DropoutRate`.
    """
    type_, option, *overrides = get_args(hint)
    for override in overrides:
        option = override.apply(option)
    return type_, option


def plain(value: Any) -> Any:
    """Return NumPy's numbers, booleans and texts as Python's, which the checks below know and JSON can write.

    Args:
        value: Value of an argument; lists and tuples become tuples of plain values, any other value stays as it is.
    """
    if isinstance(value, np.generic):
        return value.item()
    return tuple(map(plain, value)) if isinstance(value, list | tuple) else value


def one_of(*values: object) -> Callable[[Any], bool]:
    """Return a check that allows these values only; 1 is not True."""
    return lambda value: any(isinstance(value, type(allowed)) and value == allowed for allowed in values)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_fraction(value: object) -> bool:
    """Allow rates: at least 0 and less than 1, and no booleans."""
    return _is_number(value) and 0 <= value < 1


def is_positive(value: object) -> bool:
    """Allow finite numbers above 0, and no booleans."""
    return _is_number(value) and 0 < value < math.inf


def is_ratio_or_none(value: object) -> bool:
    """Allow positive ratios, and 0 or None to switch the feature off."""
    return value is None or (_is_number(value) and 0 <= value < math.inf)


def is_positive_integer(value: object) -> bool:
    """Allow integers of at least 1, and no booleans."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def is_activation(value: object) -> bool:
    """Allow names of Keras' activations, functions, and None."""
    try:
        keras.activations.get(value)
    except (ValueError, TypeError):
        return False
    return value is None or isinstance(value, str) or callable(value)


DropoutRate = Annotated[float, Option(0.0, "Dropout before the classifier; at least 0 and less than 1.", is_fraction)]

DropPathRate = Annotated[
    float,
    Option(
        0.0,
        "Stochastic depth (Huang et al. 2016): rate at which the last block's residual branch is dropped in training; "
        "at least 0 and less than 1.",
        is_fraction,
    ),
]

SeRatio = Annotated[
    float | None,
    Option(
        None,
        "Channels of the bottleneck of squeeze-and-excitation (Hu et al. 2017), relative to the channels that it "
        "scales; positive, or 0 or None for no squeeze-and-excitation.",
        is_ratio_or_none,
    ),
]

Alpha = Annotated[float, Option(1.0, "Width multiplier: factor on the number of channels; positive.", is_positive)]


class ClassifierOptions(TypedDict, total=False):
    """Arguments of every image classifier, under the names of keras.applications."""

    include_top: Annotated[bool, Option(True, "Whether to end in the classifier; True or False.", one_of(True, False))]
    weights: Annotated[
        str | os.PathLike[str] | None,
        Option(
            None,
            'None (random); "imagenet", for networks for CIFAR "cifar10", for the default of the published weights; '
            "the tag of other published weights, which `keras_archs.list_weights` returns; or the path of a .keras or "
            ".weights.h5 file.",
        ),
    ]
    input_tensor: Annotated[
        keras.KerasTensor | None,
        Option(None, "A Keras tensor to build upon instead of a new input; it sets image size and channels."),
    ]
    input_shape: Annotated[
        tuple[int | None, int | None, int] | None,
        Option(
            None,
            "(height, width, channels); height and width at least 32 (4 for networks for CIFAR), or None for any. "
            "None stands for the published size in RGB with the classifier, and for any size in RGB without.",
        ),
    ]
    pooling: Annotated[
        Literal["avg", "max"] | None,
        Option(
            None,
            'Global pooling of the last feature map without the classifier: None, "avg" or "max".',
            one_of(None, "avg", "max"),
        ),
    ]
    classes: Annotated[
        int,
        Option(IMAGENET_CLASSES, "Number of classes; an integer of at least 1.", is_positive_integer),
    ]
    classifier_activation: Annotated[
        str | Callable[..., Any] | None,
        Option(
            "softmax",
            'Activation of the classifier: "softmax" for probabilities that add up to 1, "sigmoid" for a probability '
            "of each class by itself, None for logits, or another activation of Keras, by name or as a function.",
            is_activation,
        ),
    ]
    name: Annotated[str, Option("", "Name of the model; it changes nothing else.")]
    prefix: Annotated[str, Option("", "Start of every layer's name, to have two networks in one graph.")]


class ScalingOptions(TypedDict, total=False):
    """Factors of compound scaling, which every network at any scale takes."""

    width: Annotated[float, Option(1.0, "Factor on the baseline's channels; positive.", is_positive)]
    depth: Annotated[float, Option(1.0, "Factor on the baseline's blocks in each stage; positive.", is_positive)]
    resolution: Annotated[
        float,
        Option(
            1.0,
            "Factor on the baseline's 224 pixels, for the default input; rounded, and at least 32 pixels.",
            lambda resolution: is_positive(resolution) and round_size(BASELINE_SIZE, resolution) >= MIN_SIZE,
        ),
    ]
