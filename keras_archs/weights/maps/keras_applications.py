"""The networks of keras.applications, from the legacy ``.h5`` files that hold their published weights.

Keras itself reads these files by position, because the names in a file are those of the Keras of its time. So does the
map, but it compares the names, and refuses a file whose order is not that of keras.applications.
"""

import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from keras_archs.weights.assignment import Assignment, MismatchError, shown
from keras_archs.weights.errors import CheckpointError
from keras_archs.weights.maps import keras_layers
from keras_archs.weights.maps.conversions import Values, unchanged
from keras_archs.weights.maps.name_map import Layers, NameMap, Tensors

_CLASSIFIERS = ("predictions", "conv_preds", "logits", "Logits", "fc1000", "probs")
"""Names of the classifier, in all networks and versions of Keras."""
_NECKS = ("conv_2", "Conv_2")
"""Names of the layer between pooling and classifier of MobileNetV3."""
_FIRST_MOBILENET_V2 = re.compile(r"(mobl|bn)(\d+)_conv_(?:\d+_)?(?:bn_)?(expand|depthwise|project)")
"""Names of MobileNetV2's layers when its weights were published, e.g. ``bn1_conv_1_bn_expand``."""
_NORMALISATION = re.compile(r"normalization(?:_\d+)?/(mean|variance|count)")
"""Tensors of the layer with which EfficientNet normalises its input."""
_PUBLISHED = {"mean": (0.485, 0.456, 0.406), "variance": (0.229, 0.224, 0.225)}
"""Values of that layer, whose variance holds the standard deviations; another layer corrects that."""


class _Spelling(NamedTuple):
    """A tensor's name, spelt the same for all versions of Keras."""

    layer: str
    variable: str


def _spelling(name: str) -> _Spelling:
    layer, _, variable = name.rpartition("/")
    layer = "predictions" if layer in _CLASSIFIERS else layer.lower().replace("/", "_").replace("batchnorm", "bn")
    if old := _FIRST_MOBILENET_V2.fullmatch(layer):
        kind, number, step = old.groups()
        block = "expanded_conv" if number == "0" else f"block_{number}"
        layer = f"{block}_{step}" if kind == "mobl" else f"{block}_{step}_bn"
    return _Spelling(layer, "kernel" if variable == "depthwise_kernel" else variable)


def _by_position(tensors: Tensors, expected: Iterable[str]) -> Tensors:
    """Give a file's tensors the expected names, in order.

    Args:
        tensors: Tensors in the file's order, named ``<layer>/<variable>``.
        expected: Names of a network's tensors, in the order of keras.applications.

    Returns:
        The tensors; those beyond the number of expected names, such as an unused classifier, keep their own names.

    Warns:
        UserWarning: If a layer has a name that keras.applications never gave it.

    Raises:
        MismatchError: If a tensor is out of order, or another kind of variable than the expected one.
    """
    names, places = list(tensors), list(expected)
    known, present = ({_spelling(name) for name in some} for some in (places, names))
    misplaced = [f"{name} is behind the last" for name in names[len(places) :] if _spelling(name) in known]
    unknown = []
    for name, place in zip(names, places, strict=False):
        found, wanted = _spelling(name), _spelling(place)
        if found.variable != wanted.variable or (found != wanted and found in known):
            misplaced.append(f"{name} is in the place of {place}")
        elif found != wanted:
            unknown.append(f"{name} for {place}")
    if misplaced:
        raise MismatchError(
            missing=[place for place in places if _spelling(place) not in present],
            left_over=[name for name in names if _spelling(name) not in known],
            misplaced=misplaced,
        )
    if unknown:
        warnings.warn(
            "tensors are used by their position, because keras.applications never gave them their names: "
            f"{shown(unknown)}",
            stacklevel=2,
        )
    return dict(zip(places + names[len(places) :], tensors.values(), strict=False))


def _without_normalisation(tensors: Tensors, expected: Iterable[str]) -> Tensors:
    """Leave out the normalisation of EfficientNet's input, which is preprocessing here, and name the other tensors.

    Raises:
        CheckpointError: If its values are not the published ones, so that the weights need other preprocessing.
    """
    rest = {}
    for name, tensor in tensors.items():
        if not (match := _NORMALISATION.fullmatch(name)):
            rest[name] = tensor
        elif published := _PUBLISHED.get(match[1]):
            values = tuple(np.ravel(tensor).astype(float).round(4).tolist())
            if values != published:
                raise CheckpointError(
                    f"{name} is {values}, but {published} in the published network: the network of this file "
                    "normalises its input otherwise, so that its weights need another preprocessing"
                )
    return _by_position(rest, expected)


def _dense(kernel: Values) -> Values:
    """Return a dense layer's kernel, (in, out), which may be a 1x1 convolution's (1, 1, in, out)."""
    return kernel[0, 0] if kernel.shape[:2] == (1, 1) else kernel


def _assignments(layer_names: Callable[[Layers], keras_layers.Names]) -> Callable[[Layers], Iterator[Assignment]]:
    def assignments(layers: Layers) -> Iterator[Assignment]:
        names = layer_names(layers)
        for name, layer in layers.items():
            for variable in layer.weights if name in names else ():
                convert = _dense if len(variable.shape) == 2 else unchanged
                yield Assignment(f"{names[name]}/{variable.name}", variable, convert)

    return assignments


_TOP = tuple(f"{layer}/" for layer in _CLASSIFIERS)

KERAS_DENSENET = NameMap(_assignments(keras_layers.densenet), _TOP, _by_position)
KERAS_MOBILENET = NameMap(_assignments(keras_layers.mobilenet), _TOP, _by_position)
KERAS_MOBILENET_V2 = NameMap(_assignments(keras_layers.mobilenet_v2), _TOP, _by_position)
KERAS_MOBILENET_V3 = NameMap(
    _assignments(keras_layers.mobilenet_v3), _TOP + tuple(f"{layer}/" for layer in _NECKS), _by_position
)
KERAS_EFFICIENTNET = NameMap(_assignments(keras_layers.efficientnet), _TOP, _without_normalisation)
KERAS_EFFICIENTNET_V2 = NameMap(_assignments(keras_layers.efficientnet_v2), _TOP, _by_position)
