"""A data set and a network that are trained in a second, for tests of training."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np
from keras import layers
from PIL import Image

from keras_archs.images.preprocessing import Preprocessing
from keras_archs.training.data.augmentation import Augmentation
from keras_archs.training.data.dataset import Dataset
from keras_archs.training.data.labelled_images import LabelledImages
from keras_archs.training.tuning.fine_tune import FineTuned, fine_tune
from keras_archs.training.tuning.recipe import Recipe

PREPROCESSING = Preprocessing(size=(8, 8), mean=(127, 127, 127), std=(64, 64, 64), crop_fraction=1.0)
CLASSES = ("dark", "grey", "light")
RECIPE = Recipe(
    optimizer="sgd",
    learning_rate=0.1,
    epochs=3,
    batch=8,
    warmup_epochs=0,
    freeze_statistics=False,
    augmentation=Augmentation(crop="padded"),
)


def paint_shades(folder: Path, train: int = 32, validation: int = 12) -> Dataset:
    """Write noisy images of three shades of grey, and return them as a data set."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)

    def paint(name: str, count: int) -> LabelledImages:
        classes = np.arange(count, dtype=np.int32) % len(CLASSES)
        for number, index in enumerate(classes):
            pixels = rng.normal(60 + 60 * index, 30, (8, 8, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{name}{number}.png")
        return LabelledImages(folder, [f"{name}{number}.png" for number in range(count)], classes)

    return Dataset(str(folder), CLASSES, paint("train", train), paint("validation", validation))


def shades_network(*, seed: int = 0) -> keras.Model:
    """Build a network with batch normalisation and dropout."""
    keras.utils.set_random_seed(seed)
    images = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, use_bias=False)(images)
    x = layers.BatchNormalization()(x)
    x = layers.Dropout(0.2)(layers.ReLU()(x))
    return keras.Model(images, layers.Dense(len(CLASSES), activation="softmax")(layers.GlobalAveragePooling2D()(x)))


def main() -> None:
    """Train `shades_network`, or efficientnet-lite0, in this process; print each step, and write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--checkpoints", type=Path)
    parser.add_argument("--lite0", action="store_true")
    arguments = parser.parse_args()
    tuned = train(arguments.folder, arguments.checkpoints, lite0=arguments.lite0)
    (arguments.folder / "history.json").write_text(json.dumps([asdict(metrics) for metrics in tuned.history]))


def train(folder: Path, checkpoints: Path | None, *, lite0: bool = False) -> FineTuned:
    """Train on the images in a folder, and print a line per step."""
    data = paint_shades(folder)
    recipe, network, preprocessing = RECIPE, shades_network(), PREPROCESSING
    if lite0:
        from keras_archs.training.networks import NetworkChoice, build_network

        network, preprocessing = build_network(
            NetworkChoice.pretrained("efficientnet-lite0", image_size=64), len(CLASSES)
        )
        recipe = Recipe(epochs=3, batch=8, learning_rate=0.01, freeze_statistics=True)
    return fine_tune(
        data,
        network,
        recipe=recipe,
        preprocessing=preprocessing,
        checkpoints=checkpoints,
        on_step=lambda step, steps: print(f"step {step} of {steps}", flush=True),
    )


if __name__ == "__main__":
    main()
