"""The outcome of a training: everything that its page shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keras_archs.images.preprocessing import Preprocessing
from keras_archs.training.data.dataset import Dataset, Split
from keras_archs.training.data.faults import DataFaults
from keras_archs.training.evaluation.answers import Answers
from keras_archs.training.tuning.history import EpochMetrics

Overlay = Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]
"""Function from pixels [H, W, C] and a class to the same picture with the class's activation map, uint8 [H, W, 3]."""

LONGEST_NAME: Final = 80
"""Characters of a name on the page above which its middle is left out, except where the classes are listed."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a training."""

    name: str
    """Name of the run's folder, e.g. "flowers-1"."""
    network: str
    """Network and weights it began with, in words."""
    method: str
    """What was trained, in words, e.g. "a head on frozen features"."""
    settings: Mapping[str, str]
    """Settings of the run, as config.yaml has them."""
    data: Dataset
    preprocessing: Preprocessing
    validation: Answers
    """Answers of the published graph to the validation images."""
    test: Answers | None = None
    """Answers to the test images."""
    history: Sequence[EpochMetrics] = ()
    """One entry per epoch; empty for a head alone."""
    faults: DataFaults = field(default_factory=DataFaults)
    overlay: Overlay | None = None
    """None if the network has no class activation maps."""
    published: str | None = None
    """Published version, in words, e.g. "flowers version 2"; None if it was not published."""
    notes: Sequence[str] = ()
    """What a reader must know, e.g. that the training was interrupted."""

    @property
    def measured(self) -> Answers:
        """Answers to the test images, or to the validation images if there are no test images."""
        return self.validation if self.test is None else self.test

    @property
    def measured_split(self) -> Split:
        """The division of the data that `measured` is of."""
        return "validation" if self.test is None else "test"
