"""Random changes of training images: what a recipe asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Crop = Literal["centre", "resized", "padded"]


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training images; the default changes nothing but the crop.

    Raises:
        ValueError: If a value is not allowed.
    """

    crop: Crop = "resized"
    """"centre": as in inference. "resized": a random box of the image (Szegedy et al. 2014). "padded": the image,
    padded by an eighth on each side, and a random crop (He et al. 2015, section 4.2)."""
    min_area: float = 0.35
    """Least share of the image in a random box, above 0, at most 1; for "resized"."""
    flip: bool = True
    """Whether every second image is mirrored; never for data that may not be."""
    rand_augment: float = 0.0
    """Strength of RandAugment (Cubuk et al. 2019), 0 to 1; 0 for none."""
    mixup: float = 0.0
    """Parameter alpha of MixUp (Zhang et al. 2017), at least 0; 0 for none. With CutMix as well, one of the two is
    chosen for each batch."""
    cutmix: float = 0.0
    """Parameter alpha of CutMix (Yun et al. 2019), 0 to 1; 0 for none."""
    erasing: float = 0.0
    """Probability that a random box is erased (Zhong et al. 2017), 0 to 1."""

    def __post_init__(self) -> None:
        if self.crop not in get_args(Crop):
            raise ValueError(f"crop must be {' or '.join(map(repr, get_args(Crop)))}, got {self.crop!r}")
        if not 0 < self.min_area <= 1:
            raise ValueError(f"min_area must be above 0 and at most 1, got {self.min_area!r}")
        for name in ("rand_augment", "cutmix", "erasing"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be 0 to 1, got {getattr(self, name)!r}")
        if not 0 <= self.mixup < float("inf"):
            raise ValueError(f"mixup must be a number of at least 0, got {self.mixup!r}")
