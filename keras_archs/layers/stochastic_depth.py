"""Stochastic depth (Huang et al. 2016): residual branches that training drops at random."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import keras
from keras import layers, ops

from keras_archs.layers.branch import BranchLayer


@keras.saving.register_keras_serializable(package="keras_archs")
class StochasticResidual(BranchLayer):
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


def dropout(x: keras.KerasTensor, rate: float, *, name: str, per_image: bool = False) -> keras.KerasTensor:
    """Dropout, or with a rate of 0 a layer in its place.

    Keras orders layers, and with them the weights in files, by their distance from the output: beside a projection, a
    layer less in the branch would make another order.

    Args:
        x: Feature map.
        rate: At least 0 and less than 1.
        name: Of the layer.
        per_image: Whether all of an image's features are dropped together.

    Returns:
        The feature map.
    """
    if not rate:
        return layers.Identity(name=name)(x)
    return layers.Dropout(rate, noise_shape=(None, 1, 1, 1) if per_image else None, name=name)(x)


def drop_path(x: keras.KerasTensor, rate: float, *, name: str) -> keras.KerasTensor:
    """Drop a residual branch per image in training (stochastic depth, Huang et al. 2016).

    Dropout over the batch axis alone is just that, scales what it keeps by 1 / (1 - rate), and saves without
    a custom layer.
    """
    return dropout(x, rate, per_image=True, name=name) if rate else x


def drop_rates(rate: float, blocks: int, decay: Literal["linear", "uniform"] = "linear") -> Iterator[float]:
    """Yield each block's rate of stochastic depth (Huang et al. 2016, section 4, equation 4).

    Args:
        rate: The last block's.
        blocks: How many blocks there are.
        decay: ``"linear"`` to rise with the block, ``"uniform"`` for the same everywhere.

    Returns:
        The rates, from the first block to the last.
    """
    return (rate if decay == "uniform" else rate * number / blocks for number in range(1, blocks + 1))


def skip(
    inputs: keras.KerasTensor, x: keras.KerasTensor, stride: int, drop_rate: float, *, name: str
) -> keras.KerasTensor:
    """Add what enters an inverted residual to what leaves it, if shapes allow; stochastic depth is only there."""
    if stride > 1 or inputs.shape[-1] != x.shape[-1]:
        return x
    return layers.Add(name=f"{name}_add")([inputs, drop_path(x, drop_rate, name=f"{name}_drop")])


def add_branch(
    shortcut: keras.KerasTensor,
    x: keras.KerasTensor,
    branch: Callable[[keras.KerasTensor], keras.KerasTensor],
    drop_rate: float,
    *,
    per: Literal["image", "batch"],
    name: str,
) -> keras.KerasTensor:
    """Add a residual branch, which stochastic depth may drop in training.

    Args:
        shortcut: What is added to.
        x: What the branch is computed from.
        branch: Computes it, with layers of its own names.
        drop_rate: Probability of dropping; 0 for none.
        per: ``"image"`` as `drop_path` does, ``"batch"`` as `keras_archs.layers.StochasticResidual` does.
        name: Of the block.

    Returns:
        The sum.
    """
    if drop_rate and per == "batch":
        inner = keras.Input(batch_shape=x.shape, dtype=x.dtype)
        residual = StochasticResidual(keras.Model(inner, branch(inner)), drop_rate, name=f"{name}_drop")
        return residual([x, shortcut])
    x = dropout(branch(x), drop_rate, per_image=True, name=f"{name}_drop")
    return layers.Add(name=f"{name}_add")([shortcut, x])


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
