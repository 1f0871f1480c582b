"""The TensorFlow runtime: runs SavedModels with the library that TensorFlow Serving is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from keras_archs.repository.artifact_card import ArtifactCard
from keras_archs.repository.reference_answers import TOLERANCE
from keras_archs.runtimes.card_fit import check_fit
from keras_archs.runtimes.runtime import ActivationMaps, Arithmetic, Explain, Infer, size_of


class TensorFlowRuntime:
    """Runtime that loads SavedModels with TensorFlow."""

    def __init__(self, *, threads: int | None = None) -> None:
        """Prepare the runtime.

        Args:
            threads: Threads that compute an operation, at least 1; None for TensorFlow's choice, or the process's if it
                has set the number. TensorFlow takes the number once, before the first computation of the process.
        """
        if threads is not None:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)

    def estimate_memory(self, version_dir: Path) -> int:
        """Estimate the memory of a loaded version: TensorFlow copies the weights for each function of the graph.

        Measured on four networks of 16 to 98 MB: 19.5 to 20.4 times the size of the files.
        """
        return 20 * size_of(version_dir)

    def load(self, version_dir: Path, card: ArtifactCard) -> TensorFlowSession:
        """Load a version and run it once, so that the first request is as fast as the next ones."""
        session = TensorFlowSession(tf.saved_model.load(str(version_dir)), memory=self.estimate_memory(version_dir))
        check_fit(card, session.images, session.probabilities)
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
    explainer_memory = 0  # all signatures are loaded together
    arithmetic: Arithmetic = "f32"
    explainer_arithmetic: Arithmetic = "f32"
    tolerance = TOLERANCE
    explainer_tolerance = TOLERANCE
    remedy = "publish a new version"

    def __init__(self, loaded: tf.Module, memory: int) -> None:
        self._loaded = loaded
        self._infer = _serving_default(loaded)
        self.memory = memory
        signature = loaded.signatures["serving_default"]
        self.images: list[int | None] = signature.structured_input_signature[1]["images"].shape.as_list()
        self.probabilities: list[int | None] = signature.structured_outputs["probabilities"].shape.as_list()

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
