"""Preprocessing of a network: size, crop, filter and normalisation, which travel with the model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Interpolation", "Preprocessing"]

Interpolation = Literal["bicubic", "bilinear"]


@dataclass(frozen=True)
class Preprocessing:
    """Preprocessing that a network expects; exported models carry it, so that the gateway applies the same.

    Raises:
        ValueError: If a value is not allowed.
    """

    size: tuple[int, int]
    """Height and width of the input, in pixels."""
    mean: tuple[float, ...]
    """Mean of each channel, which is subtracted, on the scale 0 to 255; 1 entry for greyscale, 3 for RGB."""
    std: tuple[float, ...]
    """Standard deviation of each channel, which the difference is divided by, on the same scale."""
    crop_fraction: float = 0.875
    """Side of the box that is kept, relative to the largest centred box; above 0, at most 1."""
    interpolation: Interpolation = "bicubic"
    """Filter for resizing, ``"bicubic"`` or ``"bilinear"``."""

    def __post_init__(self) -> None:
        # Types are checked too, because values may come from a model_card.json that was edited by hand.
        sizes = isinstance(self.size, tuple) and len(self.size) == 2
        if not sizes or not all(type(side) is int and side > 0 for side in self.size):
            raise ValueError(f"size must be two positive integers (height, width), got {self.size!r}")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if not isinstance(values, tuple) or not all(_is_finite(value) for value in values):
                raise ValueError(f"{name} must be a tuple of finite numbers, got {values!r}")
            if len(values) not in {1, 3}:
                raise ValueError(f"{name} must have 1 entry (greyscale) or 3 (RGB), got {values!r}")
        if len(self.mean) != len(self.std):
            raise ValueError(f"mean and std must be equally long, got {self.mean!r} and {self.std!r}")
        if min(self.std) <= 0:
            raise ValueError(f"std must be positive, got {self.std!r}")
        if not _is_finite(self.crop_fraction) or not 0 < self.crop_fraction <= 1:
            raise ValueError(f"crop_fraction must be above 0 and at most 1, got {self.crop_fraction!r}")
        if self.interpolation not in get_args(Interpolation):
            allowed = " or ".join(map(repr, get_args(Interpolation)))
            raise ValueError(f"interpolation must be {allowed}, got {self.interpolation!r}")

    @property
    def channels(self) -> int:
        """Number of channels: 1 for greyscale, 3 for RGB."""
        return len(self.mean)

    def normalize(self, images: ArrayLike) -> NDArray[np.float32]:
        """Return ``(images - mean) / std`` as float32.

        Args:
            images: Pixels of shape (..., channels), 0 to 255.

        Raises:
            ValueError: If the number of channels differs from that of the mean.
        """
        pixels = np.array(images, dtype=np.float32)
        if pixels.ndim == 0 or pixels.shape[-1] != self.channels:
            raise ValueError(
                f"the last axis of images must have {self.channels} channels, got the shape {pixels.shape}"
            )
        # Whole rows at a time: NumPy is slow along an axis of three channels.
        width = pixels.shape[-2] if pixels.ndim > 1 else 1
        rows = pixels.reshape(*pixels.shape[:-2], width * self.channels)
        rows -= np.tile(np.asarray(self.mean, dtype=np.float32), width)
        rows /= np.tile(np.asarray(self.std, dtype=np.float32), width)
        return rows.reshape(pixels.shape)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a dictionary that can be written as JSON."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, data: object) -> Preprocessing:
        """Return the preprocessing whose `to_json` is ``data``.

        Raises:
            ValueError: If ``data`` is not such a dictionary; the message names the value received and those allowed.
        """
        allowed = [field.name for field in fields(cls)]
        if not isinstance(data, Mapping):
            raise ValueError(f"preprocessing must be an object with {', '.join(allowed)}, got {data!r}")
        if set(data) != set(allowed):
            received = ", ".join(map(str, data)) or "none"
            raise ValueError(f"preprocessing must have the keys {', '.join(allowed)}, got {received}")
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        return cls(**values)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
