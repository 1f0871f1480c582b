"""Grouped convolution as plain convolutions."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="keras_archs")
class GroupedConv2D(layers.Conv2D):
    """``Conv2D(groups=...)`` that consists of one plain convolution per group on TensorFlow.

    On TensorFlow, Keras computes a grouped convolution in a function that XLA compiles: slow on CPUs, above all in
    training, and unreadable for other runtimes in an exported graph. TensorFlow's own operation takes grouped kernels,
    but on CPUs only oneDNN implements its gradient and its fusion with an activation; without oneDNN the graph fails
    when it runs. One convolution per group works everywhere, and OpenVINO fuses them into a grouped convolution again.

    Arguments, weights (one kernel of shape (height, width, channels / groups, filters)) and, with other backends,
    the computation are those of ``keras.layers.Conv2D``.
    """

    def convolution_op(self, inputs: keras.KerasTensor, kernel: keras.Variable) -> keras.KerasTensor:
        """Convolve each group of channels with its own filters."""
        if keras.backend.backend() != "tensorflow":
            return super().convolution_op(inputs, kernel)
        axis = -1 if self.data_format == "channels_last" else 1
        by_group = zip(ops.split(inputs, self.groups, axis), ops.split(kernel, self.groups, -1), strict=True)
        convolve = super().convolution_op
        return ops.concatenate([convolve(channels, filters) for channels, filters in by_group], axis)
