"""The gateway: versioned REST endpoints over a model repository.

Nothing here imports TensorFlow or Keras, except the one engine runtime that is TensorFlow's
(`keras_archs.runtimes.tensorflow_runtime`).
"""
