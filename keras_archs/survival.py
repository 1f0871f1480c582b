"""Survival probabilities: how likely each residual block's branch takes part in training (stochastic depth)."""

from collections.abc import Iterator, Mapping

import keras

from keras_archs.layers import StochasticResidual

_SUFFIX = "_drop"


def survival_probabilities(model: keras.Model) -> dict[str, float]:
    """Return with what probability each block's branch survives in training (Huang et al. 2016, section 3).

    Args:
        model: Residual network of `keras_archs` with stochastic depth.

    Returns:
        Probabilities by the blocks' names, in the order of computation. Blocks that are never dropped are not in it.
    """
    return {block: 1 - layer.rate for block, layer in _droppable(model)}


def set_survival_probabilities(model: keras.Model, probabilities: float | Mapping[str, float]) -> None:
    """Change with what probability blocks survive in training, from the next call of ``fit`` on.

    Args:
        model: Residual network of `keras_archs` with stochastic depth.
        probabilities: One for all blocks, or some blocks' by their names; each more than 0 and at most 1.

    Raises:
        ValueError: For a block that the model does not have or never drops, or a value that is no probability.
            Nothing is changed then.
    """
    droppable = dict(_droppable(model))
    if not droppable:
        raise ValueError(f"{model.name!r} has no stochastic depth; build it with a drop_path_rate")
    wanted = probabilities if isinstance(probabilities, Mapping) else dict.fromkeys(droppable, probabilities)
    if unknown := [block for block in wanted if block not in droppable]:
        raise ValueError(f"{model.name!r} has no droppable blocks {unknown}; it has {list(droppable)}")
    if bad := {block: value for block, value in wanted.items() if not 0 < value <= 1}:
        raise ValueError(f"survival probabilities must be more than 0 and at most 1; got {bad}")
    for block, value in wanted.items():
        droppable[block].rate = 1 - value
    # What Keras has traced holds the old rates.
    model.train_function = model.test_function = model.predict_function = None


def _droppable(model: keras.Model) -> Iterator[tuple[str, keras.Layer]]:
    for layer in model.layers:
        per_image = isinstance(layer, keras.layers.Dropout) and layer.noise_shape == (None, 1, 1, 1)
        if per_image or isinstance(layer, StochasticResidual):
            yield layer.name.removesuffix(_SUFFIX), layer
