"""Recomputation: activations are computed again in the backward pass instead of kept (Chen et al. 2016)."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_archs.layers.branch import BranchLayer


@keras.saving.register_keras_serializable(package="keras_archs")
class Recomputed(BranchLayer):
    """Layers whose activations training recomputes in the backward pass: same numbers, less memory, slower.

    Only the inputs of the layers are kept (Chen et al. 2016). Outputs, gradients, moving statistics, and variables and
    their order are the same as without. Inference is not affected.

    Args:
        branch: Functional model of the layers.
        **kwargs: Arguments of ``keras.layers.Layer``.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Compute the branch."""
        if not training:
            return self.branch(inputs, training=False)
        # The second computation must not update moving statistics again: they are outputs, and assigned once. Variables
        # are passed as tensors, because TensorFlow takes no gradients of a variable that is an argument.
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
    """Apply layers whose activations are recomputed in the backward pass (`keras_archs.layers.Recomputed`).

    Args:
        inputs: Feature maps that enter the layers; training keeps them.
        function: Applies the layers.
        name: Name of the layer that contains them.

    Returns:
        The result of the function.
    """
    inner = [keras.Input(batch_shape=x.shape, dtype=x.dtype) for x in inputs]
    return Recomputed(keras.Model(inner, function(inner)), name=name)(inputs)
