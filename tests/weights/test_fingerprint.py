"""One fingerprint for the same weights, wherever they come from, and another for any other weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_archs
from keras_archs.weights.fingerprint import fingerprint, fingerprint_of
from keras_archs.weights.formats.reading import format_of, read_tensors
from keras_archs.weights.loading import Source, load_tensors
from keras_archs.weights.maps import NAME_MAPS
from tests.support.networks import calibrated
from tests.support.source_files import tensors_of, write_h5, write_safetensors, write_torch


def test_the_same_weights_have_one_fingerprint_in_three_formats(tmp_path: Path) -> None:
    build: Callable[..., keras.Model] = keras_archs.MobileNetV3Small
    original = calibrated(build(input_shape=(64, 64, 3)))
    found = set()
    for write, names, suffix in (
        (write_torch, "timm-mobilenet-v3", ".pth"),
        (write_safetensors, "timm-mobilenet-v3", ".safetensors"),
        (write_h5, "keras-mobilenet-v3", ".h5"),
    ):
        path = write(tmp_path / f"same{suffix}", tensors_of(original, names))
        model = build(prefix="other_")
        tensors = read_tensors(path, format_of(path))
        found.add(load_tensors(model, tensors, Source(NAME_MAPS[names], classes=1000), prefix="other_").fingerprint)
        found.add(fingerprint_of(model, "other_"))
    assert found == {fingerprint_of(original)}


def test_order_does_not_matter() -> None:
    pairs = [("a/kernel", np.ones((2, 3))), ("b/kernel", np.zeros(4))]
    assert fingerprint(pairs) == fingerprint(reversed(pairs))


@pytest.mark.parametrize(
    "other",
    [
        {"a": np.ones((3, 2)), "b": np.zeros(4)},
        {"a": np.ones((2, 3)), "c": np.zeros(4)},
        {"a": np.ones((2, 3)), "b": np.full(4, 1e-45)},
        {"a": np.ones((2, 3))},
        {"a": np.ones((2, 3)), "b": np.zeros(5)},
    ],
    ids=["shape", "name", "value", "missing", "longer"],
)
def test_any_difference_gives_another_fingerprint(other: dict[str, Any]) -> None:
    assert fingerprint(other.items()) != fingerprint({"a": np.ones((2, 3)), "b": np.zeros(4)}.items())
