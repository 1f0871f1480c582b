"""Normalisation, and the form in which a preprocessing travels with a model."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from keras_archs.images.preprocessing import Preprocessing
from tests.support.pictures import GREY, RGB


def test_normalize_subtracts_the_mean_and_divides_by_the_deviation() -> None:
    preprocessing = Preprocessing((2, 2), mean=(0.0, 100.0, 200.0), std=(1.0, 2.0, 4.0))
    images = np.full((5, 2, 2, 3), 200, np.uint8)
    normalized = preprocessing.normalize(images)
    assert normalized.dtype == np.float32
    np.testing.assert_array_equal(normalized, np.broadcast_to([200.0, 50.0, 0.0], images.shape))
    assert (images == 200).all()
    np.testing.assert_array_equal(preprocessing.normalize(images[0].tolist()), normalized[0])


def test_normalize_refuses_a_wrong_number_of_channels() -> None:
    with pytest.raises(ValueError, match=r"3 channels, got the shape \(2, 2, 1\)"):
        RGB.normalize(np.zeros((2, 2, 1)))


@pytest.mark.parametrize("preprocessing", [RGB, GREY])
def test_preprocessing_survives_json(preprocessing: Preprocessing) -> None:
    data = json.loads(json.dumps(preprocessing.to_json()))
    assert Preprocessing.from_json(data) == preprocessing
    assert preprocessing.channels == len(data["mean"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": [224]}, r"two positive integers \(height, width\), got \(224,\)"),
        ({"size": [224, 0]}, r"got \(224, 0\)"),
        ({"size": [224, 224.0]}, "224.0"),
        ({"size": 224}, "got 224"),
        ({"mean": [1, 2]}, r"1 entry \(greyscale\) or 3 \(RGB\), got \(1, 2\)"),
        ({"mean": [1]}, r"equally long, got \(1,\)"),
        ({"mean": [1, 2, "3"]}, "finite numbers, got .*'3'"),
        ({"std": [1, 1, float("nan")]}, "std must be a tuple of finite numbers"),
        ({"std": [1, 1, 0]}, r"positive, got \(1, 1, 0\)"),
        ({"crop_fraction": 0}, "above 0 and at most 1, got 0"),
        ({"crop_fraction": 1.5}, "got 1.5"),
        ({"crop_fraction": True}, "got True"),
        ({"interpolation": "lanczos"}, "'bicubic' or 'bilinear', got 'lanczos'"),
        ({"interpolation": ["bicubic"]}, "got "),
        ({"gamma": 2.2}, "must have the keys size, mean, std, crop_fraction, interpolation, got .*gamma"),
    ],
)
def test_an_invalid_preprocessing_raises_an_error_that_names_the_field_and_the_value(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessing.from_json(RGB.to_json() | changes)


@pytest.mark.parametrize("data", [None, [], "size", {}])
def test_from_json_refuses_data_without_the_fields(data: object) -> None:
    with pytest.raises(ValueError, match="size, mean, std, crop_fraction, interpolation"):
        Preprocessing.from_json(data)


def test_neither_keras_nor_tensorflow_is_imported() -> None:
    script = "import sys, keras_archs.images.decoding; print(not {'keras', 'tensorflow'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
    assert result.stdout == "True\n"
