"""The arguments that builders share, described once: default, documentation and check of each."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypedDict

import keras

from keras_archs.cards.scaling import round_size

IMAGENET_CLASSES, CIFAR_CLASSES = 1000, 10


MIN_SIZE = 32
"""Networks for ImageNet halve their input five times; a smaller image would leave nothing."""


BASELINE_SIZE = 224
"""Of the input of every network that compound scaling starts from."""


@dataclass(frozen=True)
class Option:
    """Default, documentation and check of one argument of a public function."""

    default: Any
    doc: str
    allowed: Callable[[Any], bool] = lambda _: True
    """Whether a value is allowed; ``doc`` says in words which are, and the error quotes it."""


def one_of(*values: object) -> Callable[[Any], bool]:
    """Allow these values only."""
    return lambda value: value in values


def is_fraction(value: object) -> bool:
    """Allow rates: at least 0 and less than 1."""
    return isinstance(value, int | float) and 0 <= value < 1


def is_positive(value: object) -> bool:
    """Allow finite numbers above 0; ``True`` is not a number here."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def is_ratio_or_none(value: object) -> bool:
    """Allow positive ratios, and 0 or None for going without."""
    return value is None or value == 0 or is_positive(value)


def is_positive_integer(value: object) -> bool:
    """Allow 1, 2, 3 and so on; ``True`` is not a number here."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


class ClassifierOptions(TypedDict, total=False):
    """The arguments of every image classifier, as keras.applications names them."""

    include_top: Annotated[bool, Option(True, "Whether to end in the classifier; True or False.", one_of(True, False))]
    weights: Annotated[
        str | os.PathLike[str] | None,
        Option(None, 'None (random), "imagenet", or the path of a .keras or .weights.h5 file.'),
    ]
    input_tensor: Annotated[
        keras.KerasTensor | None,
        Option(None, "A Keras tensor to build upon instead of a new input; its size and channels count."),
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
            'What to do with the last feature map without the classifier: None, "avg" or "max".',
            one_of(None, "avg", "max"),
        ),
    ]
    classes: Annotated[
        int,
        Option(IMAGENET_CLASSES, "Number of classes; an integer of at least 1.", is_positive_integer),
    ]
    classifier_activation: Annotated[
        Literal["softmax"] | None,
        Option("softmax", '"softmax" for probabilities, None for logits.', one_of("softmax", None)),
    ]
    name: Annotated[str, Option("", "Name of the model; it changes nothing else.")]
    prefix: Annotated[str, Option("", "Start of every layer's name, to have two networks in one graph.")]


class ScalingOptions(TypedDict, total=False):
    """The further arguments of a network at any scale: what compound scaling multiplies."""

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
