"""A published accuracy and its source."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Accuracy:
    """A published top-1 accuracy with one crop per image.

    The images are ImageNet's validation set, unless ``source`` names another data set.
    """

    value: float
    """In per cent."""
    source: str
    """Publication of the value, and the weights it was measured with, in words."""
