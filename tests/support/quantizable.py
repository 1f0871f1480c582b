"""A network of four convolutions that finds the strongest colour of a picture, and such pictures."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from PIL import Image

import keras_archs
from keras_archs.cli.app import run
from keras_archs.export.publish import ExportedModel

SIDE = 16
CLASSES = ("red", "green", "blue")


def publish_colours(repository: Path) -> ExportedModel:
    """Publish the network as a new version of `colours`."""
    images = keras.Input((SIDE, SIDE, 3))
    x = images
    for number in range(4):
        # each channel passes on its own colour; small random weights let int8 differ from float32
        convolution = keras.layers.Conv2D(3, 3, padding="same", activation="relu", name=f"convolution{number}")
        x = convolution(x)
        kernel = 0.03 * np.random.default_rng(number).standard_normal((3, 3, 3, 3))
        kernel[1, 1] += np.eye(3)
        convolution.set_weights([kernel, np.zeros(3)])
    classifier = keras.layers.Dense(3, activation="softmax")
    outputs = classifier(keras.layers.GlobalAveragePooling2D()(x))
    classifier.set_weights([20 * np.eye(3), np.zeros(3)])
    return keras_archs.export_model(
        keras.Model(images, outputs),
        repository,
        name="colours",
        preprocessing=keras_archs.Preprocessing(size=(SIDE, SIDE), mean=(0, 0, 0), std=(255, 255, 255)),
        labels=CLASSES,
        trained_on="nothing: its weights are written by hand",
    )


def publish_quantized_colours(folder: Path) -> Path:
    """Publish the network as version 1 of `colours`, and quantized, with its accuracy, as version 2.

    Returns:
        The repository.
    """
    calibration = paint_colours(folder / "calibration", 220, seed=0)
    labelled = paint_colours(folder / "labelled", 200, seed=1)
    publish_colours(folder / "models")
    pictures = ["--calibration", str(calibration), "--labels", str(labelled), "--max-drop", "1"]
    assert run(["quantize", "colours", "--repository", str(folder / "models"), *pictures]) == 0
    return folder / "models"


def paint_colours(folder: Path, images: int, seed: int) -> Path:
    """Write noisy pictures with one strong colour each, in class folders."""
    random = np.random.default_rng(seed)
    for number in range(images):
        strongest = number % len(CLASSES)
        place = folder / CLASSES[strongest]
        place.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 120, (SIDE, SIDE, 3))
        pixels[..., strongest] += 80
        Image.fromarray(pixels.astype(np.uint8)).save(place / f"{number}.png")
    return folder
