"""The networks of `keras.applications`, and files of their weights as old versions of Keras wrote them."""

from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from tests.support.networks import calibrated

# `keras.applications` normalises with the root of this variance and, for the published weights, by the root once more.
MEAN, VARIANCE = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def reference(network: str, height: int, width: int) -> keras.Model:
    """Build a network of `keras.applications`, without the activation of its classifier.

    Args:
        network: Name in our registry, e.g. ``"mobilenet-0.25-224"``.
        height: Height of the images in pixels.
        width: Width of the images in pixels.
    """
    options: dict[str, Any] = {}
    match network.split("-"):
        case "densenet", depth:
            builder = f"DenseNet{depth}"
        case "mobilenet", "v2", alpha:
            builder, options = "MobileNetV2", {"alpha": float(alpha)}
        case "mobilenet", "v3", size, "minimalistic":
            builder, options = f"MobileNetV3{size.title()}", {"minimalistic": True, "include_preprocessing": False}
        case "mobilenet", "v3", size, alpha:
            builder, options = f"MobileNetV3{size.title()}", {"alpha": float(alpha), "include_preprocessing": False}
        case "mobilenet", alpha, _:
            builder, options = "MobileNet", {"alpha": float(alpha)}
        case "efficientnet", variant:
            builder = f"EfficientNet{variant.upper()}"
        case "efficientnet", "v2", variant:
            builder, options = f"EfficientNetV2{variant.upper()}", {"include_preprocessing": False}
    keras.utils.clear_session()  # the first model of a process names its layers without numbers
    build = getattr(keras.applications, builder)
    model: keras.Model = build(weights=None, input_shape=(height, width, 3), classifier_activation=None, **options)
    return model


def randomised(network: str, height: int = 128, width: int = 96) -> keras.Model:
    """Return a network of `reference` with calibrated random weights; it takes normalised images."""
    model = reference(network, height, width)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Rescaling):
            layer.scale = 1.0  # leaves images as they are, as does the normalisation behind it
    return calibrated(model)


def write_legacy_h5(path: Path, model: keras.Model) -> Path:
    """Write weights as Keras 2 did, with names such as ``conv1/kernel:0`` and a list of layers in the model's order.

    The normalisation in EfficientNet's graph is written as in the published files.
    """
    published = {"mean": np.array(MEAN, np.float32), "variance": np.array(VARIANCE, np.float32), "count": np.array(0)}
    with h5py.File(path, "w") as file:
        file.attrs.update({"backend": b"tensorflow", "keras_version": b"2.4.0"})
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = file.create_group(layer.name)
            names = {weight.name: f"{layer.name}/{weight.name}:0" for weight in layer.weights}
            group.attrs["weight_names"] = [name.encode() for name in names.values()]
            for weight in layer.weights:
                group[names[weight.name]] = published.get(weight.name, np.asarray(weight))
    return path
