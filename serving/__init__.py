"""The gateway: versioned REST endpoints over a model repository.

Nothing here imports TensorFlow or Keras, except the one engine runtime that is TensorFlow's
(`serving.engines.tensorflow_runtime`).
"""
