"""TensorFlow: runs SavedModels with the library that TensorFlow Serving is made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from keras_archs.repository.artifact import ArtifactCard
from keras_archs.runtimes.runtime import ActivationMaps, Explain


class TensorFlowRuntime:
    """Loads versions with plain TensorFlow."""

    def load(self, version_dir: Path, card: ArtifactCard) -> TensorFlowSession:
        """Loads a version and runs it once, so that no client pays for the first run."""
        session = TensorFlowSession(tf.saved_model.load(str(version_dir)))
        shape = (1, *card.preprocessing.size, card.preprocessing.channels)
        session.infer(np.zeros(shape, np.uint8))
        return session


class TensorFlowSession:
    """A loaded SavedModel."""

    max_batch = 16

    def __init__(self, loaded: tf.Module) -> None:
        self._loaded = loaded  # the signature alone does not keep it alive
        self._serve = loaded.signatures["serving_default"]

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities [N, classes] of uint8 images [N, H, W, C]."""
        probabilities: NDArray[np.float32] = self._serve(images=tf.constant(images))["probabilities"].numpy()
        return probabilities

    def explainer(self) -> Explain:
        """The `explain` signature."""
        signature = self._loaded.signatures["explain"]

        def explain(images: NDArray[np.uint8], classes: NDArray[np.int64]) -> ActivationMaps:
            found = signature(images=tf.constant(images), classes=tf.constant(classes))
            return ActivationMaps(*(found[name].numpy() for name in ActivationMaps._fields))

        return explain
