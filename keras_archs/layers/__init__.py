"""Layers that Keras lacks, and the building blocks that several families share; one idea per module.

Importing this package registers its layers with Keras, so that ``keras.models.load_model`` reads models with them.
"""

from keras_archs.layers.grouped_convolution import GroupedConv2D
from keras_archs.layers.recomputation import Recomputed
from keras_archs.layers.stochastic_depth import StochasticResidual

__all__ = ["GroupedConv2D", "Recomputed", "StochasticResidual"]
