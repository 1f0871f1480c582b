"""Layers that plain Keras lacks, or has in a form that is too slow.

Importing this module registers them; a saved model that holds one loads once ``keras_archs.layers`` is imported.
"""

from typing import Any, Self

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="keras_archs")
class GroupedConv2D(layers.Conv2D):
    """``Conv2D(groups=...)`` that is made of plain convolutions on TensorFlow.

    There Keras sends grouped convolution through a function that XLA compiles: slow on CPUs, in training above all,
    and nothing that other runtimes can read from an exported graph. TensorFlow's own operation takes grouped kernels
    too, but on CPUs only oneDNN has its gradient and its fusion with an activation; elsewhere such a graph fails when
    it runs. One convolution per group works everywhere, and OpenVINO recognises it and makes it one again.

    Arguments, weights (one kernel, of shape (height, width, channels / groups, filters)) and, with other backends,
    the computation are those of ``keras.layers.Conv2D``.
    """

    def convolution_op(self, inputs: keras.KerasTensor, kernel: keras.Variable) -> keras.KerasTensor:
        """Convolve each group of channels with its filters."""
        if keras.backend.backend() != "tensorflow":
            return super().convolution_op(inputs, kernel)
        axis = -1 if self.data_format == "channels_last" else 1
        by_group = zip(ops.split(inputs, self.groups, axis), ops.split(kernel, self.groups, -1), strict=True)
        convolve = super().convolution_op
        return ops.concatenate([convolve(channels, filters) for channels, filters in by_group], axis)


class _AroundBranch(layers.Layer):
    """A layer that has a functional model inside and decides how it is computed."""

    def __init__(self, branch: keras.Model, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.branch = branch

    def build(self, _: Any) -> None:
        """Take the branch, which is built already."""
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, as Keras saves them."""
        return {**super().get_config(), "branch": keras.saving.serialize_keras_object(self.branch)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make the layer from what `get_config` returned."""
        return cls(**config | {"branch": keras.saving.deserialize_keras_object(config["branch"])})


@keras.saving.register_keras_serializable(package="keras_archs")
class StochasticResidual(_AroundBranch):
    """A residual block whose branch is dropped for whole mini-batches (Huang et al. 2016, section 3).

    In training the branch is added to the shortcut with probability ``1 - rate`` (equation 2), else it is not
    even computed: neither its gradients nor its moving statistics change then. Afterwards what it says counts
    ``1 - rate`` times (equation 5). JAX traces a computation once for all mini-batches and cannot update statistics in
    a part that may not happen: there a dropped branch is computed, which updates its statistics, and not added.

    Args:
        branch: Functional model of the branch, from the block's input to what is to be added.
        rate: Probability with which a mini-batch goes without; at least 0 and less than 1. May be assigned to:
            `keras_archs.set_survival_probabilities` does so for a whole network.
        seed: Of the draws.
        **kwargs: Arguments of ``keras.layers.Layer``.
    """

    def __init__(self, branch: keras.Model, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(branch, **kwargs)
        self.rate = rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def compute_output_spec(self, inputs: list[keras.KerasTensor], **_: Any) -> keras.KerasTensor:
        """Return what the sum looks like."""
        _, shortcut = inputs
        return keras.KerasTensor(shortcut.shape, dtype=self.compute_dtype)

    def call(self, inputs: list[keras.KerasTensor], training: bool = False) -> keras.KerasTensor:
        """Add the branch of the first tensor to the second."""
        x, shortcut = inputs
        if not training:
            return shortcut + (1 - self.rate) * self.branch(x, training=False)
        survives = keras.random.uniform((), seed=self.seed_generator, dtype="float32") >= self.rate
        if keras.backend.backend() == "jax":
            branch = self.branch(x, training=True)
            return shortcut + ops.where(survives, branch, ops.zeros_like(branch))
        return ops.cond(survives, lambda: shortcut + self.branch(x, training=True), lambda: shortcut)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, as Keras saves them."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


@keras.saving.register_keras_serializable(package="keras_archs")
class Recomputed(_AroundBranch):
    """Layers whose results training does not keep for the backward pass, but computes again there.

    Pays with time for memory (Chen et al. 2016): only what enters the layers is kept. Outputs, gradients and moving
    statistics are those of the layers themselves, and so are variables and their order. Inference is not affected.

    Args:
        branch: Functional model of the layers.
        **kwargs: Arguments of ``keras.layers.Layer``.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Compute the branch."""
        if not training:
            return self.branch(inputs, training=False)
        # The second time, moving statistics must not move again: so they are outputs, and assigned once. Variables
        # go in as tensors, because TensorFlow takes no gradients of a variable that is an argument.
        compute = keras.remat(lambda *state_and_inputs: self.branch.stateless_call(*state_and_inputs, training=True))
        trainable, fixed = self.branch.trainable_variables, self.branch.non_trainable_variables
        outputs, updated = compute([ops.copy(v) for v in trainable], [ops.copy(v) for v in fixed], inputs)
        for variable, value in zip(fixed, updated, strict=True):
            variable.assign(value)
        return outputs
