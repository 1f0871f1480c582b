"""Weights as constants of a SavedModel.

TensorFlow holds a function's constants several times over for each function that calls it, and again while it saves:
some 25 times in all, 13 GB for a network of half a gigabyte. So it traces and saves a graph of zeros, which takes no
room whatever their shape, and the weights are put in their place on disk.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import keras
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from keras_archs.repository import artifact

_MOST_BYTES = 2**31 - 2**24  # a protocol buffer has at most 2 GiB, and the graph needs some of them


class FrozenWeights:
    """A network's weights on their way into a SavedModel."""

    def __init__(self) -> None:
        self._variables: list[keras.Variable] = []

    def stand_ins(self, variables: Sequence[keras.Variable]) -> list[tf.Tensor]:
        """Zeros for these variables, in the graph that is being traced: once or, as TensorFlow likes, again."""
        self._variables = list(variables)
        return [tf.constant(0, one.dtype, one.shape, name=_name(number)) for number, one in enumerate(variables)]

    def write_into(self, version_dir: Path) -> None:
        """Puts the weights where the saved graph has zeros.

        Raises:
            ValueError: They are too large for it.
        """
        size = sum(math.prod(one.shape) * tf.as_dtype(one.dtype).size for one in self._variables)
        if size > _MOST_BYTES:
            raise ValueError(
                f"a SavedModel's graph takes weights of at most {_MOST_BYTES:,} bytes; these have {size:,}"
            )
        path = version_dir / artifact.SAVED_MODEL
        saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
        missing = {_name(number): one for number, one in enumerate(self._variables)}
        for function in saved.meta_graphs[0].graph_def.library.function:
            for node in function.node_def:
                if node.name in missing:
                    weights = keras.ops.convert_to_numpy(missing.pop(node.name))
                    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(weights))
        if missing:
            raise RuntimeError(f"TensorFlow saved a graph without the weights {', '.join(missing)}")
        path.write_bytes(saved.SerializeToString())
        (version_dir / "fingerprint.pb").unlink(missing_ok=True)  # it was the zeros'; a SavedModel needs none


def _name(number: int) -> str:
    return f"frozen_weight_{number}"
