"""The model repository on disk: the layout of a published version, `models.config`, and checksums.

Exporter, gateway and TensorFlow Serving share this contract, so nothing here imports Keras or TensorFlow.
"""
