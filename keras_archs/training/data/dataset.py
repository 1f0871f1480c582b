"""Images of K classes, divided into training, validation and test images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from keras_archs.training.data.labelled_images import LabelledImages

Split = Literal["train", "validation", "test"]
SPLITS: Final[tuple[Split, ...]] = ("train", "validation", "test")


@dataclass(frozen=True)
class Dataset:
    """Images of K classes, divided into images to train, to choose and to measure with."""

    source: str
    """The folder, table or packaged data, as it was given."""
    classes: tuple[str, ...]
    """Names of the K classes, in the order of a network's outputs."""
    train: LabelledImages
    """Images that weights are fitted to; at least 1 of each class."""
    validation: LabelledImages
    """Images that the best weights and the temperature are chosen with; at least 1 of each class."""
    test: LabelledImages | None = None
    """Images that nothing is chosen with; None if the source has no such division."""
    may_flip: bool = True
    """Whether a mirror image shows the same class; not so for digits."""
    empty: Sequence[str] = ()
    """Class folders without an image, which are skipped."""
    ignored: Sequence[str] = ()
    """Files that are no images by their suffix or are in no class folder, which are skipped."""
    drawn: Sequence[str] = ()
    """Classes whose validation images were drawn from the training images, because the source has none for them."""
    repeated: Sequence[str] = ()
    """Paths that a table has several times with the same label, which count once."""

    def split(self, name: Split) -> LabelledImages | None:
        """Return the images of a division; None if there is no test division."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]
