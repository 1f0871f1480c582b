"""A network is the same network on every backend of Keras, and needs TensorFlow on none but its own."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_archs.registry import create_model
from tests.support.backend_references import ANY_SIZE, SHAPES
from tests.support.networks import FAMILIES, assert_same, photographs


@pytest.mark.parametrize("name", FAMILIES.values())
def test_logits_are_those_of_tensorflow(name: str, of_tensorflow: Path) -> None:
    model = create_model(name, **ANY_SIZE)
    model.load_weights(of_tensorflow / f"{name}.weights.h5")
    with np.load(of_tensorflow / f"{name}.npz") as logits:
        for shape, theirs in zip(SHAPES, logits.values(), strict=True):
            assert_same(model.predict(photographs(*shape), verbose=0), theirs, tolerance=1e-4)


def test_tensorflow_is_not_loaded() -> None:
    program = (
        "import sys, keras, keras_archs\n"
        "model = keras_archs.ResNeXt50_32x4d(input_shape=(32, 32, 3), classes=10)\n"
        "model(keras.ops.ones((1, 32, 32, 3)))\n"
        "print(keras.backend.backend(), 'tensorflow' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == [keras.backend.backend(), "False"]
