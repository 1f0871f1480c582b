"""EfficientNet-Lite of efficientnet-lite-pytorch, which counts blocks through all stages, from 0."""

from collections.abc import Iterator

from keras_archs.weights.assignment import Assignment
from keras_archs.weights.maps.blocks import blocks
from keras_archs.weights.maps.conversions import modules
from keras_archs.weights.maps.name_map import Layers, NameMap

_PARTS = {
    "expand_conv": "_expand_conv",
    "expand_bn": "_bn0",
    "depthwise_conv": "_depthwise_conv",
    "depthwise_bn": "_bn1",
    "project_conv": "_project_conv",
    "project_bn": "_bn2",
}


def _assignments(layers: Layers) -> Iterator[Assignment]:
    names = {
        "stem_conv": "_conv_stem",
        "stem_bn": "_bn0",
        "top_conv": "_conv_head",
        "top_bn": "_bn1",
        "predictions": "_fc",
    }
    for number, block in enumerate(blocks(layers)):
        names |= {f"{block.name}_{step}": f"_blocks.{number}.{part}" for step, part in _PARTS.items()}
    return modules(names, layers)


EFFICIENTNET_PYTORCH = NameMap(_assignments, top=("_fc.",))
