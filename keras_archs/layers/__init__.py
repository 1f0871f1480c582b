"""Layers that Keras lacks, and the building blocks that several families share; one idea per module.

Importing this package registers its layers: afterwards ``keras.models.load_model`` reads models that contain them.
"""

from keras_archs.layers.grouped_convolution import GroupedConv2D
from keras_archs.layers.recomputation import Recomputed
from keras_archs.layers.stochastic_depth import StochasticResidual

__all__ = ["GroupedConv2D", "Recomputed", "StochasticResidual"]
