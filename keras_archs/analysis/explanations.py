"""Explanations: class activation maps, Grad-CAM, squeeze-and-excitation gates and DenseNet's feature reuse.

Class activation maps: Zhou et al., "Learning Deep Features for Discriminative Localization" (2015). Grad-CAM: Selvaraju
et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization" (2016).
`keras_archs.images.overlay.overlay` draws their maps over a picture.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

import keras
import numpy as np
from numpy.typing import NDArray

from keras_archs.layers.heads import final_layers, pooled_classifier

Floats = NDArray[np.float32]


def class_activation_map(
    model: keras.Model, images: Floats, classes: Sequence[int] | None = None
) -> tuple[Floats, NDArray[np.int64]]:
    """Compute class activation maps, which are exact and need no gradients (Zhou et al. 2015, section 2).

    A class's logit is the mean of its map over all positions, plus the classifier's bias.

    Args:
        model: Network that ends in global average pooling and a dense layer.
        images: Normalised images of shape (n, height, width, channels).
        classes: A class for each image, from 0 to the number of classes less 1; None for the most likely class of each.

    Returns:
        Maps of shape (n, rows, columns), as large as the last feature maps, and the class of each map, of shape (n,).

    Raises:
        ValueError: If the network ends in other layers (`grad_cam` takes any network), or lacks a class.
    """
    classifier = pooled_classifier(model)
    if classifier is None:
        raise ValueError(
            f"{model.name!r} does not end in global average pooling and a dense layer, but in "
            f"{' and '.join(type(layer).__name__ for layer in final_layers(model))}: use grad_cam(), "
            "which takes any network"
        )
    pooling, head = classifier
    features, scores = _run(keras.Model(model.input, [pooling.input, model.output]), images)
    chosen = _chosen(scores, classes)
    kernel = keras.ops.convert_to_numpy(head.kernel)
    maps: Floats = np.einsum("nhwc,cn->nhw", features, kernel[:, chosen])
    return maps, chosen


def grad_cam(
    model: keras.Model, images: Floats, classes: Sequence[int] | None = None, layer: str | None = None
) -> tuple[Floats, NDArray[np.int64]]:
    """Compute Grad-CAM maps for any network, at any depth (Selvaraju et al. 2016).

    Args:
        model: A network with a dense classifier. If it ends in a softmax, the logits before it are explained.
        images: Normalised images of shape (n, height, width, channels).
        classes: A class for each image, from 0 to the number of classes less 1; None for the most likely class of each.
        layer: Name of the layer whose feature maps are weighted; None for the last layer with feature maps.

    Returns:
        Maps of shape (n, rows, columns), at least 0, and the class of each map, of shape (n,).

    Raises:
        ValueError: If the layer has no feature maps, or the network lacks a class.
        RuntimeError: If Keras' backend is not TensorFlow, whose gradients are used.
    """
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(f"grad_cam() needs the TensorFlow backend; this is {keras.backend.backend()}")
    import tensorflow as tf

    target, head = _feature_layer(model, layer), model.layers[-1]
    observed = keras.Model(model.input, [target.output, head.input])
    pixels = tf.convert_to_tensor(images)
    with tf.GradientTape() as tape:
        tape.watch(pixels)  # so that the layers of a frozen network are recorded, too
        features, pooled = observed(pixels, training=False)
        logits = tf.matmul(pooled, head.kernel) + head.bias
        chosen = _chosen(logits.numpy(), classes)
        score = tf.reduce_sum(tf.gather(logits, chosen, axis=1, batch_dims=1))
    weights = tf.reduce_mean(tape.gradient(score, features), axis=(1, 2), keepdims=True)
    maps: Floats = tf.nn.relu(tf.reduce_sum(weights * features, axis=-1)).numpy()
    return maps, chosen


def squeeze_excitations(model: keras.Model, images: Floats) -> dict[str, Floats]:
    """Return the gates of each squeeze-and-excitation block (Hu et al. 2017, section 7.2, figure 5).

    Args:
        model: A network with squeeze-and-excitation.
        images: Normalised images of shape (n, height, width, channels).

    Returns:
        Gates of shape (n, channels) by the name of the block, in the order of computation.

    Raises:
        ValueError: If the network has no squeeze-and-excitation.
    """
    gates = {found[1]: layer for layer in model.layers if (found := re.fullmatch(r"(.*)_se_expand", layer.name))}
    if not gates:
        raise ValueError(f"{model.name!r} has no squeeze-and-excitation blocks")
    outputs = _run(keras.Model(model.input, [layer.output for layer in gates.values()]), images)
    return {name: gate[:, 0, 0, :] for name, gate in zip(gates, outputs, strict=True)}


def feature_reuse(model: keras.Model) -> dict[str, Floats]:
    """Return how much each layer of a DenseNet uses the layers before it (Huang et al. 2016, section 5, figure 5).

    Args:
        model: A DenseNet; its weights should be trained.

    Returns:
        A matrix by the name of the dense block. The value in row s and column l is the mean absolute weight with which
        layer l + 1 takes the feature maps of layer s, where row 0 is the block's input; NaN for s > l. The last column
        is the transition after the block; the last block has no such column, as no convolution follows.

    Raises:
        ValueError: If the model has no dense blocks.
    """
    names = {layer.name for layer in model.layers}
    kernels: dict[str, list[Floats]] = {}
    for layer in model.layers:
        if found := re.fullmatch(r".*block(\d+)_layer\d+_(bottleneck|growth)_conv", layer.name):
            block, kind = found.groups()
            in_block = kernels.setdefault(f"block{block}", [])
            if kind == "bottleneck" or layer.name.replace("_growth_", "_bottleneck_") not in names:
                in_block.append(keras.ops.convert_to_numpy(layer.kernel))
        elif found := re.fullmatch(r".*transition(\d+)_conv", layer.name):
            kernels[f"block{found[1]}"].append(keras.ops.convert_to_numpy(layer.kernel))
    if not kernels:
        raise ValueError(f"{model.name!r} has no dense blocks")
    return {block: _reuse(of_block) for block, of_block in kernels.items()}


def _reuse(kernels: Sequence[Floats]) -> Floats:
    """Average each layer's kernel over its sources: the block's input, then the equally wide maps of each layer."""
    stem, growth = kernels[0].shape[2], kernels[1].shape[2] - kernels[0].shape[2]
    matrix = np.full((len(kernels), len(kernels)), np.nan, np.float32)
    for column, kernel in enumerate(kernels):
        bounds = [0, *range(stem, kernel.shape[2] + 1, growth)]
        for row, (start, end) in enumerate(pairwise(bounds)):
            matrix[row, column] = np.abs(kernel[:, :, start:end]).mean()
    return matrix


def _feature_layer(model: keras.Model, name: str | None) -> keras.Layer:
    """Return the layer of this name or, without a name, the last layer that computes feature maps."""
    maps = {
        layer.name: layer
        for layer in model.layers
        if len(layer.output.shape) == 4 and layer.output.shape[1:3] != (1, 1)  # not squeeze-and-excitation's means
    }
    *_, last = (key for key, found in maps.items() if not isinstance(found, keras.layers.Identity))
    if name is not None and name not in maps:
        raise ValueError(f"{model.name!r} has no layer {name!r} with feature maps; the last is {last!r}")
    return maps[name or last]


def _chosen(scores: Floats, classes: Sequence[int] | None) -> NDArray[np.int64]:
    """Return the class of each image: the given ones after a check, or those of the highest scores."""
    count, width = scores.shape
    chosen = scores.argmax(axis=-1) if classes is None else np.asarray(classes)
    if chosen.shape != (count,) or chosen.dtype.kind not in "iu" or ((chosen < 0) | (chosen >= width)).any():
        raise ValueError(f"classes must be {count} numbers from 0 to {width - 1}, one for each image; got {classes}")
    numbers: NDArray[np.int64] = chosen.astype(np.int64)
    return numbers


def _run(model: keras.Model, images: Floats) -> list[Floats]:
    """Return the outputs of a model as arrays."""
    return [keras.ops.convert_to_numpy(output) for output in keras.tree.flatten(model(images, training=False))]
