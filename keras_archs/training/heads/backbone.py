"""The frozen network in front of a head: pixels in, features out."""

from __future__ import annotations

import hashlib
import json
import tempfile
import threading
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Final

import keras
import numpy as np
from numpy.typing import NDArray

from keras_archs.analysis.extras import import_extra
from keras_archs.cards.origin import origin_of
from keras_archs.images.preprocessing import Preprocessing
from keras_archs.layers.output_path import classifier, in_graph_of_model
from keras_archs.runtimes.machine import usable_cores
from keras_archs.runtimes.runtime import Infer
from keras_archs.weights.fingerprint import fingerprint_of

_OF_THE_CLASSIFIER: Final = frozenset({"classes", "classifier_activation"})
"""Arguments of a builder that the features do not depend on."""


class Backbone:
    """A network without its last Dense layer, whose input is the features."""

    def __init__(self, model: keras.Model, preprocessing: Preprocessing) -> None:
        """Find the classifier of a network.

        Args:
            model: A network that a builder of this package made, which stays as it is.
            preprocessing: Preprocessing of its images.

        Raises:
            ValueError: The network does not end in a Dense layer.
        """
        step = classifier(model)
        dense = step.operation if step is not None else None
        if step is None or step.source is None or not isinstance(dense, keras.layers.Dense):
            raise ValueError(
                f"{model.name!r} does not end in a Dense layer, so that no head can be fitted to its features; all "
                "networks of the registry with include_top=True do"
            )
        self.preprocessing = preprocessing
        self.classifier: keras.layers.Dense = dense
        self.dimension = int(step.source.shape[-1])
        self._network = keras.Model(model.inputs, in_graph_of_model([step.source], step.enclosing))
        self._origin = origin_of(model)

    @cached_property
    def digest(self) -> str:
        """Hexadecimal digits that two backbones share only if they compute the same features of each image."""
        if self._origin is None:
            raise ValueError(f"{self._network.name!r} is no network that a builder of keras_archs made")
        arguments = {key: value for key, value in self._origin.arguments.items() if key not in _OF_THE_CLASSIFIER}
        releases = [metadata.version(package) for package in ("keras-archs", "openvino")]
        described: list[object] = [
            keras.backend.backend(),
            self._origin.builder,
            arguments,
            fingerprint_of(self._network),
            self.preprocessing.to_json(),
        ]
        return hashlib.blake2b(json.dumps([described, releases]).encode(), digest_size=16).hexdigest()

    @cached_property
    def infer(self) -> Infer:
        """Function from one image, uint8 [1, H, W, C], to its features, float32 [1, D]; threads may share it.

        OpenVINO computes it, in float32, as it will compute the published network. Keras' other backends than
        TensorFlow cannot write a graph for it and compute the features themselves, one image at a time.
        """
        infer = _in_openvino if keras.backend.backend() == "tensorflow" else _in_keras
        function = infer(self._network, self.preprocessing)
        function(np.zeros((1, *self.preprocessing.size, self.preprocessing.channels), np.uint8))  # before threads do
        return function


def _in_openvino(network: keras.Model, preprocessing: Preprocessing) -> Infer:
    from keras_archs.analysis.frozen_graph import write_graph  # imports TensorFlow

    runtime = import_extra("keras_archs.runtimes.openvino_runtime", "train").OpenVinoRuntime(streams=usable_cores())
    shape = (*preprocessing.size, preprocessing.channels)
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder, "features.pb")
        write_graph(network, graph, input_shape=shape, mean=preprocessing.mean, std=preprocessing.std)
        infer: Infer = runtime.compile(graph, (1, *shape))
        return infer


def _in_keras(network: keras.Model, preprocessing: Preprocessing) -> Infer:
    lock = threading.Lock()

    def infer(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with lock:
            return np.asarray(network.predict_on_batch(preprocessing.normalize(images)))

    return infer
