"""The model repository on disk: a published version with its card and reference answers, `models.config`, checksums.

Exporter, gateway and TensorFlow Serving share this contract, so nothing here imports Keras or TensorFlow.
"""
