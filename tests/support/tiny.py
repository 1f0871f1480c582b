"""A baseline of compound scaling that costs a test nothing."""

import keras
from keras import layers


def tiny(*, depth: float, width: float, resolution: float, channels: int = 8, classes: int = 2) -> keras.Model:
    """Convolutions of one size, whose multiply-adds nothing but depth, width and resolution decide."""
    side = round(20 * resolution)
    images = keras.Input((side, side, channels))
    x = images
    for number in range(round(10 * depth)):
        x = layers.Conv2D(round(20 * width), 3, padding="same", activation="relu", name=f"conv{number}")(x)
    return keras.Model(images, layers.Dense(classes, activation="softmax")(layers.GlobalAveragePooling2D()(x)))
