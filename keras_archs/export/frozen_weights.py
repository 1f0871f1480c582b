"""Weights as constants in the graph of a SavedModel.

TensorFlow copies a function's constants for each function that calls it, and again while it saves the graph: about 25
copies in all, 13 GB for a network of half a gigabyte. So TensorFlow traces and saves a graph of zeros, which take no
memory whatever their shape, and the weights replace the zeros in the file.
"""

import math
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import keras
import tensorflow as tf
from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import saved_model_pb2

from keras_archs.repository import artifact

_PREFIX = "frozen_weight_"
_MAX_BYTES = 2**31 - 2**24  # a protocol buffer holds at most 2 GiB; 16 MiB of them are for the rest of the graph


class FrozenWeights:
    """Weights of a network that are written into a SavedModel."""

    def __init__(self) -> None:
        self._variables: list[keras.Variable] = []

    def zeros(self, variables: Sequence[keras.Variable]) -> list[tf.Tensor]:
        """Return a constant of zeros for each variable, in the graph that is being traced.

        TensorFlow may trace a function more than once; the constants have the same names in each trace.
        """
        self._variables = list(variables)
        return [
            tf.constant(0, variable.dtype, variable.shape, name=_constant_name(index))
            for index, variable in enumerate(variables)
        ]

    def write_into(self, version_dir: Path) -> None:
        """Replace the zeros in the saved graph by the weights.

        Raises:
            ValueError: The weights are too large for a SavedModel.
        """
        size = sum(math.prod(variable.shape) * tf.as_dtype(variable.dtype).size for variable in self._variables)
        if size > _MAX_BYTES:
            raise ValueError(f"a SavedModel's graph holds weights of at most {_MAX_BYTES:,} bytes; these have {size:,}")
        path = version_dir / artifact.SAVED_MODEL
        saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
        by_name = {_constant_name(index): variable for index, variable in enumerate(self._variables)}
        written = set()
        graph = saved.meta_graphs[0].graph_def
        # a constant occurs more than once if TensorFlow traced the function more than once
        for node in chain(graph.node, *(function.node_def for function in graph.library.function)):
            if is_frozen_weight(node) and node.name in by_name:
                weights = keras.ops.convert_to_numpy(by_name[node.name])
                node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(weights))
                written.add(node.name)
        if missing := sorted(by_name.keys() - written):
            raise RuntimeError(f"TensorFlow saved a graph without the constants {', '.join(missing)}")
        path.write_bytes(saved.SerializeToString())
        # the fingerprint is that of the graph of zeros; a SavedModel is valid without one
        (version_dir / "fingerprint.pb").unlink(missing_ok=True)


def is_frozen_weight(node: node_def_pb2.NodeDef) -> bool:
    """Return whether a node of a saved graph is a constant that holds a weight."""
    return bool(node.op == "Const" and node.name.startswith(_PREFIX))


def _constant_name(index: int) -> str:
    return f"{_PREFIX}{index}"
