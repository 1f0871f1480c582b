"""A Keras network as a frozen TensorFlow graph, which OpenVINO reads in a fraction of a second."""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf

from keras_archs.images.preprocessing import Preprocessing


def write_graph(network: keras.Model, preprocessing: Preprocessing, path: Path) -> None:
    """Write a network as a frozen graph, from pixels to its output.

    Args:
        network: A network with one image input [N, H, W, C], normalised as `preprocessing` says, on the TensorFlow
            backend.
        preprocessing: Size and normalisation, which is part of the graph.
        path: File to write, whose name ends in .pb. The graph's only input is uint8 [N, H, W, C].
    """
    variables = [*network.trainable_variables, *network.non_trainable_variables]
    values = [keras.ops.convert_to_numpy(variable) for variable in variables]
    trainable = len(network.trainable_variables)

    def infer(images: tf.Tensor) -> tf.Tensor:
        constants = [tf.constant(value) for value in values]
        normalised = (tf.cast(images, tf.float32) - preprocessing.mean) / preprocessing.std
        return network.stateless_call(constants[:trainable], constants[trainable:], normalised, training=False)[0]

    images = tf.TensorSpec([None, *preprocessing.size, preprocessing.channels], tf.uint8)
    function = tf.function(infer, autograph=False).get_concrete_function(images)
    path.write_bytes(function.graph.as_graph_def().SerializeToString())
