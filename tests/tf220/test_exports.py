"""Exports load in TensorFlow 2.20, the runtime in the newest image of TensorFlow Serving, and give equal answers.

`make tf220` creates the environment and runs this module. Each family is tested with its network of the fewest
multiply-adds; a family's networks for CIFAR, which have another structure, are tested separately.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from skimage import data

import keras_archs
from keras_archs.cards.model_card import ModelCard
from keras_archs.images.decoding import load_image
from keras_archs.repository import artifact
from tests.support.images import encode

PYTHON = os.environ["TF220_PYTHON"]
REPLAY = Path(__file__).with_name("replay.py")


def smallest_of_each_family() -> list[str]:
    smallest: dict[tuple[str, bool], ModelCard] = {}
    for card in map(keras_archs.model_card, keras_archs.list_models()):
        family = card.family, card.preprocessing.size == (32, 32)
        if family not in smallest or card.cost.macs < smallest[family].cost.macs:
            smallest[family] = card
    return [card.name for card in smallest.values()]


@pytest.mark.parametrize("name", smallest_of_each_family())
def test_an_export_loads_warms_up_and_gives_equal_answers(
    name: str, tmp_path: Path, calibrate: Callable[[keras.Model], keras.Model]
) -> None:
    model = calibrate(keras_archs.create_model(name))
    path = keras_archs.export_model(model, tmp_path, name=name, allow_untrained=True).path
    preprocessing = artifact.read_card(path).preprocessing
    photographs = (encode(photograph()) for photograph in (data.coffee, data.chelsea, data.camera))
    images = np.stack([load_image(photograph, preprocessing) for photograph in photographs])
    np.save(tmp_path / "images.npy", images)

    command = [PYTHON, str(REPLAY), str(path), "images.npy", "answers.npz"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    process = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert process.returncode == 0, process.stderr[-2000:]

    found = np.load(tmp_path / "answers.npz")
    assert found["replayed"] == 2
    pixels = preprocessing.normalize(images)
    outputs = {"probabilities": model.output, "features": model.layers[-1].input}
    for output, expected in keras.Model(model.inputs, outputs).predict(pixels, verbose=0).items():
        assert np.ptp(expected, axis=0).max() > 1e-3  # different photographs have different answers
        # SENet-154's layers round differently: 10 of 6,144 features deviated by up to 0.3 %
        np.testing.assert_allclose(found[output], expected, rtol=1e-3, atol=2e-3 * float(np.ptp(expected)))
    assert ("maps" in found) == artifact.read_card(path).explains
    if "maps" in found:
        likeliest = found["probabilities"][0].argmax()
        assert found["chosen"].tolist() == [likeliest, 3, 3]
        maps, _ = keras_archs.class_activation_map(model, pixels, found["chosen"])
        np.testing.assert_allclose(found["maps"], maps, atol=1e-3 * float(np.ptp(maps)))
