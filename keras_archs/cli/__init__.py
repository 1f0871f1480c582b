"""The `keras-archs` command: one module per command, and neither Keras nor TensorFlow until one needs it."""

from keras_archs.cli.app import main

__all__ = ["main"]
