"""A Keras network as a frozen TensorFlow graph, which OpenVINO reads in a fraction of a second."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import tensorflow as tf
from tensorflow.core.framework import graph_pb2


def write_graph(
    network: keras.Model,
    path: Path,
    *,
    input_shape: Sequence[int],
    mean: float | Sequence[float],
    std: float | Sequence[float],
) -> None:
    """Write a network as a frozen graph, from pixels to its output.

    Args:
        network: A network with one image input [N, H, W, C], on the TensorFlow backend.
        path: File to write, whose name ends in .pb. The graph's only input is uint8 [N, H, W, C].
        input_shape: (height, width, channels) in pixels.
        mean: Mean of all channels or of each, which the graph subtracts from the pixels.
        std: Standard deviation of all channels or of each, which the graph divides the differences by.
    """
    variables = [*network.trainable_variables, *network.non_trainable_variables]
    values = [keras.ops.convert_to_numpy(variable) for variable in variables]
    trainable = len(network.trainable_variables)

    def infer(images: tf.Tensor) -> tf.Tensor:
        constants = [tf.constant(value) for value in values]
        normalised = (tf.cast(images, tf.float32) - mean) / std
        return network.stateless_call(constants[:trainable], constants[trainable:], normalised, training=False)[0]

    images = tf.TensorSpec([None, *input_shape], tf.uint8)
    function = tf.function(infer, autograph=False).get_concrete_function(images)
    graph = function.graph.as_graph_def()
    _keep_only(graph, function.outputs[0].op.name)
    path.write_bytes(graph.SerializeToString())


def _keep_only(graph: graph_pb2.GraphDef, output: str) -> None:
    """Remove the nodes that an output does not depend on: OpenVINO takes those that nothing reads for outputs.

    Swish leaves such nodes, for its gradient.
    """
    inputs = {node.name: [name.removeprefix("^").partition(":")[0] for name in node.input] for node in graph.node}
    needed, pending = set(), [output]
    while pending:
        name = pending.pop()
        if name not in needed:
            needed.add(name)
            pending += inputs[name]
    for index in reversed(range(len(graph.node))):
        if graph.node[index].name not in needed:
            del graph.node[index]
