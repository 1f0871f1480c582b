"""What a card says of a version's int8 graph: what it was calibrated on, and how its answers differ from float32."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

from keras_archs.repository.json_fields import count, field, share, text, typed, typed_field


@dataclass(frozen=True)
class Calibration:
    """The pictures from which the ranges of the activations were taken.

    Attributes:
        pictures: Number of pictures.
        fingerprint: SHA-256 of the pictures' checksums, in hexadecimal; the same for the same files in any order.
    """

    pictures: int
    fingerprint: str


@dataclass(frozen=True)
class Agreement:
    """How the int8 graph answers pictures that it was not calibrated on, compared with the float32 graph.

    Attributes:
        pictures: Number of pictures.
        top1: Share of pictures for which both graphs find the same class the likeliest; for classes that do not exclude
            each other, the share for which the same classes have a probability of at least one half.
        largest_difference: Largest difference of a probability, of all pictures and classes.
        mean_difference: Mean over the pictures of the largest difference of a probability.
    """

    pictures: int
    top1: float
    largest_difference: float
    mean_difference: float


@dataclass(frozen=True)
class AccuracyChange:
    """Top-1 accuracy on labelled pictures that took no part in making the int8 graph.

    Attributes:
        pictures: Number of pictures.
        float32: Share of pictures that the float32 graph answers rightly.
        int8: Share of pictures that the int8 graph answers rightly.
    """

    pictures: int
    float32: float
    int8: float

    @property
    def drop(self) -> float:
        """Accuracy that is lost, in percentage points; negative if int8 is more accurate."""
        return round(100 * (self.float32 - self.int8), 6)


@dataclass(frozen=True)
class Quantization:
    """How an int8 graph was made, and how its answers differ from float32.

    Attributes:
        source_version: Version whose float32 graph was quantized; the version with the int8 graph has it, too.
        layers: Number of convolutions and matrix products.
        int8_layers: How many of them the int8 graph computes in int8; the others stay in float32.
        calibration: What the graph was calibrated on.
        agreement: How the answers differ from float32.
        accuracy: Accuracy before and after; None if no labelled pictures were given.
    """

    source_version: int
    layers: int
    int8_layers: int
    calibration: Calibration
    agreement: Agreement
    accuracy: AccuracyChange | None

    def to_json(self) -> dict[str, Any]:
        """Return the data that `json` can write."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Read the data that `to_json` returns.

        Raises:
            ValueError: A field is missing or malformed; the message names the field, what it holds and what is allowed.
        """
        where = "quantization"
        card = typed(data, dict, where)
        calibration = typed_field(card, "calibration", dict, where)
        return cls(
            source_version=count(card, "source_version", where),
            layers=count(card, "layers", where),
            int8_layers=count(card, "int8_layers", where),
            calibration=Calibration(
                pictures=count(calibration, "pictures", f"{where}.calibration"),
                fingerprint=text(calibration, "fingerprint", f"{where}.calibration"),
            ),
            agreement=_agreement(typed_field(card, "agreement", dict, where), f"{where}.agreement"),
            accuracy=None if field(card, "accuracy", where) is None else _accuracy(card, where),
        )


def _agreement(data: dict[str, Any], where: str) -> Agreement:
    return Agreement(
        pictures=count(data, "pictures", where),
        top1=share(data, "top1", where),
        largest_difference=share(data, "largest_difference", where),
        mean_difference=share(data, "mean_difference", where),
    )


def _accuracy(card: dict[str, Any], where: str) -> AccuracyChange:
    data, where = typed_field(card, "accuracy", dict, where), f"{where}.accuracy"
    return AccuracyChange(
        pictures=count(data, "pictures", where), float32=share(data, "float32", where), int8=share(data, "int8", where)
    )
