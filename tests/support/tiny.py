"""A cheap baseline for tests of compound scaling."""

import keras
from keras import layers


def tiny(*, depth: float, width: float, resolution: float, channels: int = 8, classes: int = 2) -> keras.Model:
    """Build equal 3x3 convolutions; the multiply-adds follow depth, width and resolution with little rounding."""
    side = round(20 * resolution)
    images = keras.Input((side, side, channels))
    x = images
    for number in range(round(5 * depth)):
        x = layers.Conv2D(round(20 * width), 3, padding="same", activation="relu", name=f"conv{number}")(x)
    return keras.Model(images, layers.Dense(classes, activation="softmax")(layers.GlobalAveragePooling2D()(x)))
