"""Feature maps from inside a network, for detectors, segmenters and other models that need several scales.

The stages of a network are the endpoints that its family declares (`keras_archs.layers.endpoints`): the stem, before it
pools; the stages of the paper's table, the blocks of DenseNet or the modules of Inception; and ``top``, if further
layers stand between the last stage and the global pooling.
"""

from collections.abc import Sequence
from typing import Any

import keras

from keras_archs.analysis.weightless import weightless
from keras_archs.layers.endpoints import endpoints
from keras_archs.registry import create_model

_LARGE = 1024
"""Height and width in pixels that every network halves without remainder, so that a ratio of sizes is a stride."""


def feature_extractor(model: keras.Model | str, stages: Sequence[str] | None = None, **arguments: Any) -> keras.Model:
    """Make a model that returns feature maps from inside a network.

    Args:
        model: Name of the registry, to build the network without its classifier and for images of any size; or a
            network that is built already or loaded from a file: the extractor shares its layers, hence its weights.
        stages: Names of stages that `feature_strides` lists. None for the last stage of each stride, not counting
            ``"top"``.
        **arguments: Arguments of the builder, if ``model`` is a name, e.g. ``weights="imagenet"``.

    Returns:
        A functional model whose output is a dict: the last feature map of each stage, in the order of computation.
        Height and width are those of the image, divided by the stage's stride. If there is a remainder, each halving
        rounds as the family pads: up in most, down where DenseNet and BN-Inception pool. The extractor's
        ``compute_output_shape((1, height, width, 3))`` gives the sizes.

    Raises:
        ValueError: If the model has no stages, or lacks a stage of this name; the message lists its stages.
        TypeError: If ``arguments`` are given for a model that is built already.
    """
    if isinstance(model, str):
        model = create_model(model, **{"include_top": False, **arguments})
    elif arguments:
        raise TypeError(f"{list(arguments)} are arguments for a name of the registry; {model.name!r} is built already")
    ends = _endpoints(model)
    if stages is None:
        by_stride = {stride: stage for stage, stride in feature_strides(model).items() if stage != "top"}
        stages = list(by_stride.values())
    if not stages or not set(stages) <= set(ends):
        raise ValueError(f"stages={stages!r}: {model.name!r} has the stages {list(ends)}")
    outputs = {stage: feature_map for stage, feature_map in ends.items() if stage in stages}
    return keras.Model(model.input, outputs, name=f"{model.name}_features")


def feature_strides(model: keras.Model | str) -> dict[str, int]:
    """Return the stages of a network with their strides: the pixels of the image from one feature to the next.

    Args:
        model: Name of the registry, a network, or the result of `feature_extractor`.

    Returns:
        Stride of each stage, in the order of computation, e.g. ``{"stem": 2, "stage1": 4, ...}``.

    Raises:
        ValueError: If the model has no stages.
    """
    if isinstance(model, str):
        with weightless():  # shapes need no values
            return feature_strides(create_model(model, include_top=False))
    ends = _endpoints(model)
    (images,) = model.inputs
    large = keras.KerasTensor((1, _LARGE, _LARGE, images.shape[-1]), dtype=images.dtype)
    # From the shapes of feature maps: a layer may contain a whole block, so that its own strides say nothing.
    observed = keras.Model(model.inputs, ends)
    observed.input_spec = None  # the model may be built for images of another size
    maps = observed.compute_output_spec([large])
    return {stage: round(_LARGE / feature_map.shape[1]) for stage, feature_map in maps.items()}


def _endpoints(model: keras.Model) -> dict[str, keras.KerasTensor]:
    """Return the endpoints of a model, and refuse a model without any."""
    ends = endpoints(model)
    if not ends:
        raise ValueError(f"{model.name!r} has no stages: it is not a network of this package")
    return ends
