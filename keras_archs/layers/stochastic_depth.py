"""Stochastic depth (Huang et al. 2016): residual branches that training drops at random."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import keras
from keras import layers, ops

from keras_archs.layers.branch import BranchLayer

PER_IMAGE = (None, 1, 1, 1)
"""Noise shape of a dropout that keeps or drops all features of an image together."""

_SUFFIX = "_drop"


@keras.saving.register_keras_serializable(package="keras_archs")
class StochasticResidual(BranchLayer):
    """Residual block whose branch is dropped for whole mini-batches (Huang et al. 2016, section 3).

    In training the branch is added to the shortcut with probability ``1 - rate`` (equation 2). Otherwise it is not
    computed: it has no gradients, and its moving statistics do not change. At inference the branch is multiplied by
    ``1 - rate`` (equation 5). JAX traces one computation for all mini-batches and cannot update statistics in a part
    that is conditional: with JAX a dropped branch is computed and updates its statistics, but is not added.

    Args:
        branch: Functional model of the branch, from the block's input to the summand.
        rate: Probability of dropping the branch; at least 0 and less than 1. May be assigned:
            `keras_archs.set_survival_probabilities` does so for a whole network.
        seed: Seed of the draws.
        **kwargs: Arguments of ``keras.layers.Layer``.
    """

    def __init__(self, branch: keras.Model, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(branch, **kwargs)
        self.rate = rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def compute_output_spec(self, inputs: list[keras.KerasTensor], **_: Any) -> keras.KerasTensor:
        """Return shape and dtype of the sum."""
        _, shortcut = inputs
        return keras.KerasTensor(shortcut.shape, dtype=self.compute_dtype)

    def call(self, inputs: list[keras.KerasTensor], training: bool = False) -> keras.KerasTensor:
        """Compute the branch of the first tensor and add it to the second."""
        x, shortcut = inputs
        if not training:
            return shortcut + (1 - self.rate) * self.branch(x, training=False)
        survives = keras.random.uniform((), seed=self.seed_generator, dtype="float32") >= self.rate
        if keras.backend.backend() == "jax":
            branch = self.branch(x, training=True)
            return shortcut + ops.where(survives, branch, ops.zeros_like(branch))
        return ops.cond(survives, lambda: shortcut + self.branch(x, training=True), lambda: shortcut)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments for saving."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


def dropout(x: keras.KerasTensor, rate: float, *, name: str) -> keras.KerasTensor:
    """Apply dropout; with a rate of 0, put an identity layer in its place.

    Keras orders layers, and with them the weights in files, by their distance from the output. Where a branch lies
    beside a projection, one layer less in the branch would change the order.
    """
    return (layers.Dropout(rate, name=name) if rate else layers.Identity(name=name))(x)


def drop_rates(rate: float, blocks: int, decay: Literal["linear", "uniform"] = "linear") -> Iterator[float]:
    """Return each block's rate of stochastic depth (Huang et al. 2016, section 4, equation 4).

    Args:
        rate: Rate of the last block.
        blocks: Number of blocks.
        decay: ``"linear"`` for rates that rise with the block, ``"uniform"`` for equal ones.

    Returns:
        The rates, from the first block to the last.
    """
    return (rate if decay == "uniform" else rate * number / blocks for number in range(1, blocks + 1))


def skip(
    inputs: keras.KerasTensor, x: keras.KerasTensor, stride: int, drop_rate: float, *, name: str
) -> keras.KerasTensor:
    """Add the input of an inverted residual to its output if their shapes are equal.

    Args:
        inputs: Feature map that enters the block.
        x: Feature map that the block has computed.
        stride: Stride of the block.
        drop_rate: Rate of stochastic depth per image, for blocks with a sum; at least 0 and less than 1.
        name: Name of the block.

    Returns:
        The sum, or ``x`` where shapes differ.
    """
    if stride > 1 or inputs.shape[-1] != x.shape[-1]:
        return x
    if drop_rate:
        x = layers.Dropout(drop_rate, noise_shape=PER_IMAGE, name=f"{name}{_SUFFIX}")(x)
    return layers.Add(name=f"{name}_add")([inputs, x])


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
        shortcut: Feature map that the branch is added to.
        x: Feature map that the branch is computed from.
        branch: Computes the branch.
        drop_rate: Rate of stochastic depth; at least 0 and less than 1.
        per: ``"image"`` to drop the branch of single images and scale up the kept ones by ``1 / (1 - drop_rate)``;
            ``"batch"`` to drop it for whole mini-batches (`StochasticResidual`).
        name: Name of the block.

    Returns:
        The sum.
    """
    if drop_rate and per == "batch":
        inner = keras.Input(batch_shape=x.shape, dtype=x.dtype)
        residual = StochasticResidual(keras.Model(inner, branch(inner)), drop_rate, name=f"{name}{_SUFFIX}")
        return residual([x, shortcut])
    x, name_of_drop = branch(x), f"{name}{_SUFFIX}"
    if drop_rate:
        x = layers.Dropout(drop_rate, noise_shape=PER_IMAGE, name=name_of_drop)(x)
    else:
        x = layers.Identity(name=name_of_drop)(x)  # keeps the order of weights in files, as in `dropout`
    return layers.Add(name=f"{name}_add")([shortcut, x])


def survival_probabilities(model: keras.Model) -> dict[str, float]:
    """Return the probability with which each block's branch survives in training (Huang et al. 2016, section 3).

    Args:
        model: Residual network of `keras_archs` with stochastic depth.

    Returns:
        Probabilities by the name of the block, in the order of computation. Blocks that are never dropped are left out.
    """
    return {block: 1 - layer.rate for block, layer in _droppable(model)}


def set_survival_probabilities(model: keras.Model, probabilities: float | Mapping[str, float]) -> None:
    """Change the probability with which blocks survive in training, from the next call of ``fit`` on.

    Args:
        model: Residual network of `keras_archs` with stochastic depth.
        probabilities: A number for all blocks, or numbers by the name of the block; each more than 0 and at most 1.

    Raises:
        ValueError: If the model lacks a named block or never drops it, or if a value is not allowed. The model is
            not changed then.
    """
    droppable = dict(_droppable(model))
    if not droppable:
        raise ValueError(f"{model.name!r} has no stochastic depth; build it with a drop_path_rate")
    by_block = probabilities if isinstance(probabilities, Mapping) else dict.fromkeys(droppable, probabilities)
    if unknown := [block for block in by_block if block not in droppable]:
        raise ValueError(f"{model.name!r} has no droppable blocks {unknown}; it has {list(droppable)}")
    if refused := {block: value for block, value in by_block.items() if not 0 < value <= 1}:
        raise ValueError(f"survival probabilities must be more than 0 and at most 1; got {refused}")
    for block, value in by_block.items():
        droppable[block].rate = 1 - value
    # Functions that Keras has traced contain the old rates.
    model.train_function = model.test_function = model.predict_function = None


def _droppable(model: keras.Model) -> Iterator[tuple[str, keras.Layer]]:
    """Yield the name of each block with stochastic depth, and the layer that drops it."""
    for layer in model.layers:
        per_image = isinstance(layer, layers.Dropout) and layer.noise_shape == PER_IMAGE
        if per_image or isinstance(layer, StochasticResidual):
            yield layer.name.removesuffix(_SUFFIX), layer
