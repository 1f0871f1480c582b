"""`keras-archs train` on another backend: trained there, published by a process with TensorFlow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from keras_archs.cli.app import run
from keras_archs.images.decoding import load_image
from keras_archs.registry import create_model
from keras_archs.repository.artifact import read_card
from keras_archs.runtimes.local import installed_runtime, load_version
from tests.support.flowers import QUICK, SIDE, paint_flowers


def test_the_published_version_answers_like_the_network_that_was_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paint_flowers(Path("photos"))
    assert run(["train", "photos", "--name", "flowers", *QUICK, "--epochs", "1", "--batch", "8"]) == 0
    model = create_model("resnet-20", input_shape=(SIDE, SIDE, 3), classes=2)
    model.load_weights("runs/flowers-1/best.keras")
    version_dir = Path("models/flowers/1")
    card = read_card(version_dir)
    pixels = load_image(Path("photos/rose/0.png"), card.preprocessing)[np.newaxis]
    published = load_version(installed_runtime(), version_dir, card).infer(pixels)
    trained = model.predict(card.preprocessing.normalize(pixels), verbose=0)
    np.testing.assert_allclose(published, trained, atol=1e-5)
    assert (Path("runs/flowers-1") / "report.html").exists()
