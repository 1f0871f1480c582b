"""The gateway: versioned REST endpoints for the models of a repository.

No module imports TensorFlow or Keras, except when the embedded engine runs on the TensorFlow runtime
(`keras_archs.runtimes.tensorflow_runtime`).
"""
