"""The section on quantisation of a card is read as strictly as the rest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keras_archs.repository.quantization import AccuracyChange, Agreement, Calibration, Quantization

MISSING = object()
FULL = Quantization(
    source_version=1,
    layers=50,
    int8_layers=48,
    calibration=Calibration(300, "5e1f"),
    agreement=Agreement(500, 0.99, 0.2, 0.01),
    accuracy=AccuracyChange(1000, float32=0.981, int8=0.979),
)


@pytest.mark.parametrize("quantization", [FULL, replace(FULL, accuracy=None)])
def test_a_section_survives_being_written(quantization: Quantization) -> None:
    assert Quantization.from_json(quantization.to_json()) == quantization


def test_the_drop_is_in_percentage_points() -> None:
    assert FULL.accuracy
    assert FULL.accuracy.drop == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("calibration", MISSING, "quantization.calibration is missing"),
        ("calibration", [], "quantization.calibration must be an object"),
        ("calibration.pictures", 0, "quantization.calibration.pictures must be a whole number of at least 1, got 0"),
        ("calibration.fingerprint", "", "quantization.calibration.fingerprint must not be empty"),
        ("layers", True, "quantization.layers must be a whole number of at least 1, got True"),
        ("source_version", 1.0, "quantization.source_version must be a whole number"),
        ("agreement.top1", 1.1, "quantization.agreement.top1 must be a number from 0 to 1, got 1.1"),
        ("agreement.top1", "0.9", "quantization.agreement.top1 must be a number from 0 to 1, got '0.9'"),
        ("agreement.mean_difference", float("nan"), "quantization.agreement.mean_difference must be a number"),
        ("accuracy", MISSING, "quantization.accuracy is missing"),
        ("accuracy.int8", None, "quantization.accuracy.int8 must be a number from 0 to 1, got None"),
    ],
)
def test_a_malformed_field_is_named(path: str, value: object, message: str) -> None:
    data = FULL.to_json()
    *parents, last = path.split(".")
    entry: Any = data
    for key in parents:
        entry = entry[key]
    if value is MISSING:
        del entry[last]
    else:
        entry[last] = value
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        Quantization.from_json(data)
