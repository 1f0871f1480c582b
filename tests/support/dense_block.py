"""A small dense block, with and without recomputation."""

import keras
from keras import layers

from keras_archs.layers.recomputation import recomputed


def dense(recompute: bool, depth: int = 4) -> keras.Model:
    """A small dense block: each layer concatenates, normalises and convolves all maps before it."""
    maps = [keras.Input((None, None, 3))]
    for number in range(depth):

        def layer(maps: list[keras.KerasTensor], name: str = f"layer{number}") -> keras.KerasTensor:
            x = layers.Concatenate(name=f"{name}_concat")([*maps, *maps])
            x = layers.ReLU(name=f"{name}_relu")(layers.BatchNormalization(momentum=0.5, name=f"{name}_bn")(x))
            return layers.Conv2D(8, 1, use_bias=False, name=f"{name}_conv")(x)

        maps.append(recomputed(maps, layer, name=f"recomputed{number}") if recompute else layer(maps))
    outputs = layers.Dense(2, name="head")(layers.GlobalAveragePooling2D()(maps[-1]))
    return keras.Model(maps[0], outputs)
