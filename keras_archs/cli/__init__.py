"""The `keras-archs` command: one module per command or pair of commands, and what the commands share.

A command imports Keras, TensorFlow or a runtime only when it needs them, so that the other commands start quickly.
"""

from keras_archs.cli.app import main

__all__ = ["main"]
