"""Runs in TensorFlow 2.20's own environment, without this package: loads a version, warms it up and answers.

python replay.py VERSION_DIR IMAGES.npy ANSWERS.npz
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

version_dir, images, answers = sys.argv[1:]
if not tf.__version__.startswith("2.20."):
    sys.exit(f"this is TensorFlow {tf.__version__}")
loaded = tf.saved_model.load(version_dir)

records = list(tf.data.TFRecordDataset(str(Path(version_dir, "assets.extra", "tf_serving_warmup_requests"))))
for record in records:
    request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
    inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
    loaded.signatures[request.model_spec.signature_name](**inputs)

pixels = tf.constant(np.load(images))
outputs: dict[str, Any] = {"replayed": len(records)}
for signature in {"serving_default", "features", "explain"} & set(loaded.signatures):
    classes = {"classes": tf.constant([-1] + [3] * (len(pixels) - 1), tf.int64)} if signature == "explain" else {}
    for name, value in loaded.signatures[signature](images=pixels, **classes).items():
        outputs[f"{signature}/{name}"] = value.numpy()
np.savez(answers, **outputs)
