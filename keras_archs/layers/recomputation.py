"""Recomputation: activations computed again in the backward pass instead of kept (Chen et al. 2016)."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_archs.layers.branch import BranchLayer


@keras.saving.register_keras_serializable(package="keras_archs")
class Recomputed(BranchLayer):
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


def recomputed(
    inputs: list[keras.KerasTensor],
    function: Callable[[list[keras.KerasTensor]], keras.KerasTensor],
    *,
    name: str,
) -> keras.KerasTensor:
    """Apply layers without keeping their results for the backward pass (`keras_archs.layers.Recomputed`).

    Args:
        inputs: What is kept.
        function: Applies the layers, which have names of their own.
        name: Of the layer around them.

    Returns:
        What the function returns.
    """
    inner = [keras.Input(batch_shape=x.shape, dtype=x.dtype) for x in inputs]
    return Recomputed(keras.Model(inner, function(inner)), name=name)(inputs)
