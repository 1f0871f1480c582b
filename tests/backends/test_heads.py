"""On the JAX and Torch backends, Keras computes the features, and the fitted network answers as scikit-learn."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from PIL import Image

from keras_archs.images.decoding import load_image
from keras_archs.training.data.dataset import Dataset
from keras_archs.training.data.labelled_images import LabelledImages
from keras_archs.training.heads.fit_head import fit_head
from keras_archs.training.networks import NetworkChoice


def test_the_network_with_the_fitted_head_answers_as_scikit_learn(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    classes = np.arange(18, dtype=np.int32) % 3
    paths = [f"{number}.png" for number in range(len(classes))]
    for path, colour in zip(paths, classes, strict=True):
        pixels = generator.integers(0, 120, (32, 32, 3)) + 130 * np.eye(3, dtype=int)[colour]
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / path)
    train, validation = (LabelledImages(tmp_path, paths[part], classes[part]) for part in (slice(12), slice(12, None)))
    data = Dataset("colours", ("red", "green", "blue"), train, validation)
    keras.utils.set_random_seed(0)
    head = fit_head(data, NetworkChoice("mobilenet-0.25-128", None, 32), cache=False)
    pixels = np.stack([load_image(tmp_path / path, head.preprocessing) for path in data.validation.paths])
    answers = head.model.predict_on_batch(head.preprocessing.normalize(pixels))
    np.testing.assert_allclose(answers, head.validation_probabilities, atol=1e-5)
