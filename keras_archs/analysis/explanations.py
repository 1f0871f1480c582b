"""Explanations: class activation maps, Grad-CAM, squeeze-and-excitation gates and DenseNet's feature reuse.

Class activation maps: Zhou et al., "Learning Deep Features for Discriminative Localization" (2015). Grad-CAM: Selvaraju
et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization" (2016).
`keras_archs.images.overlay.overlay` draws their maps over a picture.
"""

import re
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice, pairwise
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from keras_archs.analysis.flat_network import flat_network, results
from keras_archs.layers.output_path import (
    Activation,
    classifier,
    is_graph,
    output_activation,
    pooled_classifier,
    steps,
)

Floats = NDArray[np.float32]


def class_activation_map(
    model: keras.Model, images: Floats, classes: Sequence[int] | None = None
) -> tuple[Floats, NDArray[np.int64]]:
    """Compute class activation maps, which are exact and need no gradients (Zhou et al. 2015, section 2).

    A class's logit is the mean of its map over all positions, plus the classifier's bias.

    Args:
        model: Network that ends in global average pooling and a dense layer. Dropout and the like may stand between
            them, a softmax or sigmoid behind them, and both may be in a model inside the network.
        images: Normalised images of shape (n, height, width, channels).
        classes: A class for each image, from 0 to the number of classes less 1; None for the most likely class of each.

    Returns:
        Maps of shape (n, rows, columns), as large as the last feature maps, and the class of each map, of shape (n,).

    Raises:
        ValueError: If the network ends in other layers (`grad_cam` takes more endings), or lacks a class.
    """
    pooled = pooled_classifier(_single(model))
    if pooled is None:
        last = [type(step.operation).__name__ for step in islice(steps(model), 2)]
        raise ValueError(
            f"{model.name!r} does not end in global average pooling and a dense layer, but in "
            f"{' and '.join(reversed(last))}: use grad_cam(), which takes more endings"
        )
    features, scores = _run(keras.Model(model.inputs[0], [pooled.feature_maps, *model.outputs]), images)
    kernel, bias = _values(pooled.head.kernel), pooled.head.bias
    logits = features.mean(axis=(1, 2)) @ kernel + (0 if bias is None else _values(bias))
    _check_sum(model, logits, scores.reshape(logits.shape))
    chosen = _chosen(logits, classes)
    maps: Floats = np.einsum("nhwc,cn->nhw", features, kernel[:, chosen])
    return maps, chosen


def grad_cam(
    model: keras.Model, images: Floats, classes: Sequence[int] | None = None, layer: str | None = None
) -> tuple[Floats, NDArray[np.int64]]:
    """Compute Grad-CAM maps, at any depth of a network (Selvaraju et al. 2016).

    Args:
        model: A classifier, functional or sequential, that may contain models. Its logits are explained: the output,
            or what a softmax or sigmoid at the end takes.
        images: Normalised images of shape (n, height, width, channels).
        classes: A class for each image, from 0 to the number of classes less 1; None for the most likely class of each.
        layer: Name of the layer whose feature maps are weighted, also of a layer of a model inside; None for the last
            layer with feature maps.

    Returns:
        Maps of shape (n, rows, columns), at least 0, and the class of each map, of shape (n,).

    Raises:
        ValueError: If the network ends in operations whose output may be neither logits nor their softmax or sigmoid,
            if the layer has no feature maps that the logits depend on, or if the network lacks a class.
        RuntimeError: If Keras' backend is not TensorFlow, whose gradients are used.
    """
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(f"grad_cam() needs the TensorFlow backend; this is {keras.backend.backend()}")
    import tensorflow as tf

    network = flat_network(_single(model))
    source, logits_of = _logits(network)
    observed = keras.Model(network.inputs[0], [_feature_maps(network, layer), source])
    pixels = tf.convert_to_tensor(images)
    with tf.GradientTape() as tape:
        tape.watch([pixels, *(weight.value for weight in observed.weights)])  # frozen layers are recorded, too
        features, before = observed(pixels, training=False)
        logits = logits_of(before)
        chosen = _chosen(logits.numpy(), classes)
        score = tf.reduce_sum(tf.gather(logits, chosen, axis=1, batch_dims=1))
    gradient = tape.gradient(score, features)
    if gradient is None:
        raise ValueError(f"the logits of {model.name!r} do not depend on the feature maps of layer {layer!r}")
    features, gradient = tf.cast(features, tf.float32), tf.cast(gradient, tf.float32)
    weights = tf.reduce_mean(gradient, axis=(1, 2), keepdims=True)
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


def _single(model: keras.Model) -> keras.Model:
    """Return the model, and refuse a model that is not functional or sequential with one input and one output."""
    if not is_graph(model) or len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(
            f"explanations are of functional and sequential models with one input and one output, not {model.name!r}"
        )
    return model


def _check_sum(model: keras.Model, logits: Floats, scores: Floats) -> None:
    """Refuse a network whose output does not follow from the logits that its feature maps add up to."""
    functions: dict[Activation, Callable[[Floats], Any]] = {
        "softmax": keras.ops.softmax,
        "sigmoid": keras.ops.sigmoid,
        "linear": np.asarray,
    }
    expected = _values(functions[output_activation(model)](logits))
    tolerance = 1e-2 if model.compute_dtype == "float32" else 1e-1
    if not np.allclose(expected, scores, rtol=tolerance, atol=tolerance):
        raise ValueError(f"the feature maps of {model.name!r} do not add up to its output: use grad_cam()")


def _logits(network: keras.Model) -> tuple[keras.KerasTensor, Callable[[Any], Any]]:
    """Return a tensor of a flat network, and the function that computes the logits from the tensor's values."""
    activation = output_activation(network)
    if activation == "linear":
        return network.outputs[0], _per_class
    head = classifier(network)
    if head is not None and head.source is not None and _has_plain_kernel(head.operation):
        return head.source, partial(_weighted_sums, head.operation)
    for step in steps(network):  # until the softmax or sigmoid is cut off
        if step.source is None or hasattr(step.operation, "kernel"):
            break
        if _activation(keras.Model(network.inputs, step.source, name=network.name)) != activation:
            return step.source, _per_class
    raise ValueError(f"{network.name!r} does not compute the logits of its {activation} where they can be read")


def _has_plain_kernel(head: keras.Layer) -> bool:
    """Whether the product of the inputs and the kernel is a layer's weighted sums; a quantised kernel has a scale."""
    return not isinstance(head, layers.EinsumDense) and not getattr(head, "quantization_mode", None)


def _activation(network: keras.Model) -> Activation | None:
    try:
        return output_activation(network)
    except ValueError:
        return None


def _weighted_sums(head: keras.Layer, features: Any) -> Any:
    """Return the logits of a dense or convolutional layer, without the layer's activation."""
    kernel = keras.ops.convert_to_tensor(head.kernel)
    features = keras.ops.cast(features, kernel.dtype)
    product = head.convolution_op if hasattr(head, "convolution_op") else keras.ops.matmul
    sums = product(features, kernel)
    return _per_class(sums if head.bias is None else sums + head.bias)


def _per_class(logits: Any) -> Any:
    """Return logits of shape (n, classes) in float32."""
    count, *positions, classes = logits.shape
    if any(side != 1 for side in positions):
        raise ValueError(f"grad_cam() explains one logit per class and image; got logits of shape {logits.shape}")
    return keras.ops.cast(keras.ops.reshape(logits, (count, classes)), "float32")


def _feature_maps(network: keras.Model, name: str | None) -> keras.KerasTensor:
    """Return the feature maps of the layer of this name or, without a name, of the last layer that computes any."""
    maps = {
        operation.name: (operation, result)
        for operation, result in results(network)
        if len(result.shape) == 4 and result.shape[1:3] != (1, 1)  # not squeeze-and-excitation's means
    }
    computed = [key for key, (operation, _) in maps.items() if not isinstance(operation, layers.Identity)]
    if not computed:
        raise ValueError(f"{network.name!r} has no layer with feature maps")
    if name is not None and name not in maps:
        raise ValueError(f"{network.name!r} has no layer {name!r} with feature maps; the last is {computed[-1]!r}")
    operation, result = maps[name or computed[-1]]
    if getattr(operation, "data_format", "channels_last") != "channels_last":
        raise ValueError(f"grad_cam() takes feature maps with the channels last; {operation.name!r} has them first")
    return result


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
    return [_values(output) for output in keras.tree.flatten(model(images, training=False))]


def _values(tensor: Any) -> Floats:
    values: Floats = keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32"))
    return values
