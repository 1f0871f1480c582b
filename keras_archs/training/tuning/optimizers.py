"""The optimizer of a recipe: which weights decay, and how."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from keras_archs.layers.nested import all_layers
from keras_archs.training.tuning.recipe import Recipe

AVERAGED_SHARE = 20
"""An average of the weights reaches over at most one in so many steps of a training."""


@keras.saving.register_keras_serializable(package="keras_archs")
class SGDWithL2(keras.optimizers.SGD):
    """Stochastic gradient descent that adds a multiple of each weight to its gradient, as the papers' programs do.

    Keras' own `weight_decay` reduces the weight beside the gradient, so that the momentum does not see the decay: with
    a momentum of 0.9 the same number decays a tenth as much.

    Args:
        learning_rate: The rate.
        l2: Multiple of the weight that is added to its gradient, at least 0.
        exempt: Variables that do not decay; set `exempt` again after loading an optimizer from a file.
        **kwargs: Arguments of ``keras.optimizers.SGD``.
    """

    def __init__(
        self, learning_rate: float, l2: float = 0.0, exempt: tuple[keras.Variable, ...] = (), **kwargs: Any
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.l2 = l2
        self._exempt = {id(variable) for variable in exempt}
        self._decays: list[bool] = []

    def build(self, variables: list[keras.Variable]) -> None:
        """Make the momenta of the variables."""
        super().build(variables)
        self._decays = [bool(self.l2) and id(variable) not in self._exempt for variable in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Change a variable by its gradient."""
        if self._decays[self._get_variable_index(variable)]:
            gradient = ops.add(
                ops.cast(gradient, variable.dtype), ops.multiply(ops.cast(self.l2, variable.dtype), variable)
            )
        super().update_step(gradient, variable, learning_rate)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments for saving, without the exempt variables."""
        return {**super().get_config(), "l2": self.l2}


def make_optimizer(recipe: Recipe, model: keras.Model, steps: int) -> keras.optimizers.Optimizer:
    """Make the optimizer of a recipe, its rate to be assigned at each step, and build it for the trained weights.

    Args:
        recipe: The recipe.
        model: The network; what is not trained is frozen already.
        steps: Planned steps of the training, at least 1.
    """
    exempt = tuple(_exempt(recipe, model))
    shared: dict[str, Any] = {"global_clipnorm": recipe.clip_norm}
    if recipe.ema:
        shared |= {"use_ema": True, "ema_momentum": min(recipe.ema, max(0.0, 1 - AVERAGED_SHARE / steps))}
    optimizer: keras.optimizers.Optimizer
    if recipe.optimizer == "sgd":
        optimizer = SGDWithL2(
            float(recipe.learning_rate),
            l2=recipe.weight_decay,
            exempt=exempt,
            momentum=float(recipe.momentum),
            nesterov=recipe.nesterov,
            **shared,
        )
    else:
        optimizer = keras.optimizers.AdamW(
            float(recipe.learning_rate), weight_decay=float(recipe.weight_decay), **shared
        )
        optimizer.exclude_from_weight_decay(var_list=list(exempt))
    optimizer.build(model.trainable_variables)
    return optimizer


def _exempt(recipe: Recipe, model: keras.Model) -> list[keras.Variable]:
    """Return the trained weights that do not decay: vectors (biases and normalisations) and depthwise kernels."""
    if recipe.decayed == "all":
        return []
    depthwise = {
        id(variable)
        for layer in all_layers(model)
        if isinstance(layer, layers.DepthwiseConv2D)
        for variable in layer.trainable_variables
    }
    return [v for v in model.trainable_variables if len(v.shape) < 2 or id(v) in depthwise]
