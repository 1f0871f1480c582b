"""Load a version in TensorFlow 2.20, replay its warm-up requests and write its answers.

python replay.py VERSION_DIR IMAGES.npy ANSWERS.npz

Runs in an environment without this package. It loads the version into a session, as TensorFlow Serving does; into a
new session for each signature, because a session keeps a copy of the weights for each signature that it has run.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

Tensors = dict[str, Any]


class Served:
    """A version that is loaded into a session."""

    def __init__(self, session: tf.compat.v1.Session, version_dir: str) -> None:
        self._session = session
        self.signatures = tf.compat.v1.saved_model.load(session, ["serve"], version_dir).signature_def

    def answer(self, signature: str, inputs: Tensors) -> Tensors:
        """Compute the outputs of a signature."""
        definition = self.signatures[signature]
        fetches = {name: tensor.name for name, tensor in definition.outputs.items()}
        feed = {definition.inputs[name].name: value for name, value in inputs.items()}
        outputs: Tensors = self._session.run(fetches, feed)
        return outputs


@contextmanager
def served(version_dir: str) -> Iterator[Served]:
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        yield Served(session, version_dir)


def main(version_dir: str, images: str, answers: str) -> None:
    if not tf.__version__.startswith("2.20."):
        sys.exit(f"this is TensorFlow {tf.__version__}")
    records = Path(version_dir, "assets.extra", "tf_serving_warmup_requests")
    logs = [
        prediction_log_pb2.PredictionLog.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(records))
    ]
    inputs: Tensors = {"images": np.load(images)}
    with served(version_dir) as version:
        signatures = set(version.signatures)
        for request in (log.predict_log.request for log in logs):
            warmup_inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
            version.answer(request.model_spec.signature_name, warmup_inputs)
        found = {"replayed": len(logs), **version.answer("serving_default", inputs)}
    with served(version_dir) as version:
        found |= version.answer("features", inputs)
    if "explain" in signatures:
        with served(version_dir) as version:
            classes = np.array([-1] + [3] * (len(inputs["images"]) - 1))
            found |= version.answer("explain", {**inputs, "classes": classes})
    np.savez(answers, **found)


main(*sys.argv[1:])
