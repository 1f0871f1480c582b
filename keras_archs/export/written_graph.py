"""Run the graph of a SavedModel that was just written, without the memory that its constants would take.

TensorFlow copies a function's constants about 25 times while it loads and runs a SavedModel. So the weights are taken
out of the file and become variables, from which the otherwise unchanged graph reads them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.framework import attr_value_pb2, graph_pb2, node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from keras_archs.export.frozen_weights import is_frozen_weight
from keras_archs.repository import artifact
from keras_archs.repository.artifact import LIKELIEST

tf1 = tf.compat.v1


def probabilities_by_signature(version_dir: Path, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """Run the signatures of a SavedModel that take decoded images, with all images in one batch.

    Args:
        version_dir: Folder of the SavedModel.
        images: Pixels, uint8 [N, H, W, C].

    Returns:
        The probabilities [N, classes] that `serving_default` gives and, if the graph has the signature, `explain`.
    """
    graph, weights = _read(version_dir)
    by_name = graph.signature_def
    signatures = [name for name in ("serving_default", "explain") if name in by_name]
    # on the CPU, as servers, and without optimisations that take longer than three images
    config = tf1.ConfigProto(device_count={"GPU": 0})
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    with tf1.Session(graph=tf.Graph(), config=config) as session:
        tf.graph_util.import_graph_def(graph.graph_def, name="")
        session.run([f"{name}_assign" for name in weights], {f"{name}_value:0": weights[name] for name in weights})
        weights.clear()  # the variables hold them now
        inputs: dict[str, Any] = {by_name[name].inputs["images"].name: images for name in signatures}
        if "explain" in signatures:
            inputs[by_name["explain"].inputs["classes"].name] = [LIKELIEST] * len(images)
        answers = session.run([by_name[name].outputs["probabilities"].name for name in signatures], inputs)
    return dict(zip(signatures, answers, strict=True))


def _read(version_dir: Path) -> tuple[meta_graph_pb2.MetaGraphDef, dict[str, NDArray[Any]]]:
    """Return the graph of a SavedModel with variables in place of its weights, and the weights as `_thaw` does."""
    saved = saved_model_pb2.SavedModel.FromString((version_dir / artifact.SAVED_MODEL).read_bytes())
    weights = _thaw(saved.meta_graphs[0].graph_def)
    # a copy, because a message keeps the memory of what was removed from it
    return meta_graph_pb2.MetaGraphDef.FromString(saved.meta_graphs[0].SerializeToString()), weights


def _thaw(graph_def: graph_pb2.GraphDef) -> dict[str, NDArray[Any]]:
    """Let the functions of a graph read their frozen weights from variables.

    Returns:
        The weights by the names of the variables. The operation `<name>_assign` writes the value that is fed to
        `<name>_value:0` into the variable.
    """
    weights: dict[str, NDArray[Any]] = {}
    for function in graph_def.library.function:
        for node in [node for node in function.node_def if is_frozen_weight(node)]:
            variable, tensor = f"thawed_weight_{len(weights)}", node.attr["value"].tensor
            kind = attr_value_pb2.AttrValue(type=tensor.dtype)
            weights[variable] = tf.make_ndarray(tensor)
            handle = _node("VarHandleOp", f"{node.name}_handle", dtype=kind)
            handle.attr["shape"].shape.CopyFrom(tensor.tensor_shape)
            handle.attr["shared_name"].s = variable.encode()
            read = _node("ReadVariableOp", f"{node.name}_read", f"{handle.name}:resource:0", dtype=kind)
            # an Identity, whose output has the name that a constant's output has
            node.CopyFrom(_node("Identity", node.name, f"{read.name}:value:0", T=kind))
            function.node_def.extend([handle, read])
            handle.name = f"{variable}_handle"
            value = _node("Placeholder", f"{variable}_value", dtype=kind)
            assign = _node("AssignVariableOp", f"{variable}_assign", handle.name, value.name, dtype=kind)
            graph_def.node.extend([handle, value, assign])
    return weights


def _node(op: str, name: str, *inputs: str, **attributes: attr_value_pb2.AttrValue) -> node_def_pb2.NodeDef:
    return node_def_pb2.NodeDef(op=op, name=name, input=inputs, attr=attributes)
