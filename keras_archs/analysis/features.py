"""Feature maps from inside a network, for detectors, segmenters and whatever else looks at several scales.

A stage of a network is what the names of its layers begin with: the stem; the stages of the paper's table, the
blocks of DenseNet or the modules of Inception; and ``top``, if layers stand between those and the pooling.
"""

import re
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from keras_archs.analysis.cost import profile
from keras_archs.analysis.weightless import weightless
from keras_archs.registry import create_model

_STAGE = re.compile(r"(stem\d*|stage\d+|block\d+|inception\d[a-z]|top)_")
_LARGE = 1024
"""A size that every network halves without remainder, so that a ratio of sizes is a stride."""


def feature_extractor(model: keras.Model | str, stages: Sequence[str] | None = None, **arguments: Any) -> keras.Model:
    """Make a model that returns feature maps from inside a network.

    Args:
        model: A name of the registry, which is built without its classifier and for images of any size; or a model
            that was built, or loaded from a file, already: the new one shares its layers, hence its weights.
        stages: Names of stages, of those that `feature_strides` lists. None for the last one of each stride; ``"top"``
            is not among these.
        **arguments: Arguments of the builder, if ``model`` is a name, e.g. ``weights="imagenet"``.

    Returns:
        A functional model whose output is a dict: the last feature map of each stage, in the order of computation.
        Height and width are those of the image, divided by the stage's stride and rounded up.

    Raises:
        ValueError: If the model has no such stages, or none at all; the message names those there are.
        TypeError: For arguments of the builder beside a model that is built already.
    """
    if isinstance(model, str):
        model = create_model(model, **{"include_top": False, **arguments})
    elif arguments:
        raise TypeError(f"{list(arguments)} are arguments for a name of the registry; {model.name!r} is built already")
    ends = _ends(model)
    if stages is None:
        of_stride = {stride: stage for stage, stride in feature_strides(model).items() if stage != "top"}
        stages = list(of_stride.values())
    if not stages or not set(stages) <= set(ends):
        raise ValueError(f"stages={stages!r}: {model.name!r} has the stages {list(ends)}")
    outputs = {stage: end.output for stage, end in ends.items() if stage in stages}
    return keras.Model(model.input, outputs, name=f"{model.name}_features")


def feature_strides(model: keras.Model | str) -> dict[str, int]:
    """Return the stages of a network with their strides: the pixels of the image from one feature to the next.

    Args:
        model: A name of the registry, a model, or what `feature_extractor` made of one.

    Returns:
        Stride of each stage, in the order of computation, e.g. ``{"stem": 2, "stage1": 4, ...}``.

    Raises:
        ValueError: If the model has no stages.
    """
    if isinstance(model, str):
        with weightless():  # shapes need no values
            return feature_strides(create_model(model, include_top=False))
    ends = _ends(model)
    # Shapes tell the stride whatever a layer holds inside; the strides that layers have would not.
    costs = profile(model, (_LARGE, _LARGE, model.inputs[0].shape[-1])).layers
    strides = {cost.name: round(_LARGE / height) for cost in costs if (height := cost.output_shape[1])}
    return {stage: strides[end.name] for stage, end in ends.items()}


def _ends(model: keras.Model) -> dict[str, keras.Layer]:
    """The last layer of each stage, in the order of computation."""
    prefix = next((start for start, stem, _ in (layer.name.partition("stem") for layer in model.layers) if stem), "")
    ends: dict[str, keras.Layer] = {}
    for layer in model.layers:
        match = _STAGE.match(layer.name.removeprefix(prefix))
        if match is None or len(layer.output.shape) != 4:  # dropout before the classifier is called "top" as well
            continue
        # A stem ends before it pools, or nothing would be left of its resolution.
        if match[1].startswith("stem") and isinstance(layer, layers.ZeroPadding2D | layers.MaxPooling2D):
            continue
        ends[match[1]] = layer
    if not ends:
        raise ValueError(f"{model.name!r} has no stages: it is no network of this package")
    return ends
