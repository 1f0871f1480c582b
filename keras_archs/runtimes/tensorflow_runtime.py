"""The TensorFlow runtime: runs SavedModels with the library that TensorFlow Serving is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from keras_archs.repository.artifact import ArtifactCard
from keras_archs.runtimes.runtime import ActivationMaps, Explain, Infer


class TensorFlowRuntime:
    """Runtime that loads SavedModels with TensorFlow."""

    def load(self, version_dir: Path, card: ArtifactCard) -> TensorFlowSession:
        """Load a version and run it once, so that the first request is as fast as the next ones."""
        session = TensorFlowSession(tf.saved_model.load(str(version_dir)))
        session.infer(np.zeros((1, *card.preprocessing.size, card.preprocessing.channels), np.uint8))
        return session

    def compile(self, saved_model: Path, input_shape: tuple[int, ...]) -> Infer:
        """Load the signature `serving_default` of a SavedModel that needs no card.

        Args:
            saved_model: Folder of a SavedModel whose `serving_default` has one input and one output.
            input_shape: Shape of the inputs, with the batch. TensorFlow runs the graph for any shape that the
                signature admits.

        Returns:
            A function from an input array, of the signature's dtype, to the output array.
        """
        return _serving_default(tf.saved_model.load(str(saved_model)))


class TensorFlowSession:
    """A version that TensorFlow has loaded."""

    max_batch = 16

    def __init__(self, loaded: tf.Module) -> None:
        self._loaded = loaded
        self._infer = _serving_default(loaded)

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the probabilities [N, classes] of uint8 images [N, H, W, C]."""
        return self._infer(images)

    def explainer(self) -> Explain:
        """Return the signature `explain` as a function."""
        signature = self._loaded.signatures["explain"]

        def explain(images: NDArray[np.uint8], classes: NDArray[np.int64]) -> ActivationMaps:
            outputs = signature(images=tf.constant(images), classes=tf.constant(classes))
            return ActivationMaps(*(outputs[name].numpy() for name in ActivationMaps._fields))

        return explain


def _serving_default(loaded: tf.Module) -> Infer:
    signature = loaded.signatures["serving_default"]
    (input_name,) = signature.structured_input_signature[1]
    (output_name,) = signature.structured_outputs

    def infer(array: NDArray[Any]) -> NDArray[np.float32]:
        _ = loaded  # the signature alone does not keep the SavedModel alive
        output: NDArray[np.float32] = signature(**{input_name: tf.constant(array)})[output_name].numpy()
        return output

    return infer
