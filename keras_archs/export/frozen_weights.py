"""Weights as constants in the graph of a SavedModel.

TensorFlow copies a function's constants for each function that calls it, and again while it saves the graph: about 25
copies in all, 13 GB for a network of half a gigabyte. So TensorFlow traces and saves a graph of zeros, which take no
memory whatever their shape, and the weights replace the zeros in the file.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import keras
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from keras_archs.repository import artifact

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
        remaining = {_constant_name(index): variable for index, variable in enumerate(self._variables)}
        for function in saved.meta_graphs[0].graph_def.library.function:
            for node in function.node_def:
                if node.name in remaining:
                    weights = keras.ops.convert_to_numpy(remaining.pop(node.name))
                    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(weights))
        if remaining:
            raise RuntimeError(f"TensorFlow saved a graph without the constants {', '.join(remaining)}")
        path.write_bytes(saved.SerializeToString())
        # the fingerprint is that of the graph of zeros; a SavedModel is valid without one
        (version_dir / "fingerprint.pb").unlink(missing_ok=True)


def _constant_name(index: int) -> str:
    return f"frozen_weight_{index}"
