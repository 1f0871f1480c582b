"""timm's ``tf_efficientnet*`` and ``tf_mobilenetv3*``, which are of TensorFlow's lineage as our networks are.

timm counts stages, and the blocks of a stage, from 0, and names the parts of a block by the block's kind.
"""

from collections.abc import Iterator

from keras_archs.weights.assignment import Assignment
from keras_archs.weights.maps.blocks import Block, blocks
from keras_archs.weights.maps.conversions import modules
from keras_archs.weights.maps.name_map import Layers, NameMap

_SQUEEZE_EXCITE = {"se_reduce": "se.conv_reduce", "se_expand": "se.conv_expand"}
_INVERTED = {
    "expand_conv": "conv_pw",
    "expand_bn": "bn1",
    "depthwise_conv": "conv_dw",
    "depthwise_bn": "bn2",
    **_SQUEEZE_EXCITE,
    "project_conv": "conv_pwl",
    "project_bn": "bn3",
}
_SEPARABLE = {
    "depthwise_conv": "conv_dw",
    "depthwise_bn": "bn1",
    **_SQUEEZE_EXCITE,
    "project_conv": "conv_pw",
    "project_bn": "bn2",
}
_FUSED = {"fused_conv": "conv_exp", "fused_bn": "bn1", "project_conv": "conv_pwl", "project_bn": "bn2"}
_CONVOLUTION = {"fused_conv": "conv", "fused_bn": "bn1"}


def _parts(block: Block) -> dict[str, str]:
    """Return the names of a block's parts; separable blocks and convolutions are blocks without expansion."""
    if "fused_conv" in block.steps:
        return _FUSED if "project_conv" in block.steps else _CONVOLUTION
    return _INVERTED if "expand_conv" in block.steps else _SEPARABLE


def _body(layers: Layers) -> dict[str, str]:
    """Return the names of the modules before the head, by layer."""
    names = {"stem_conv": "conv_stem", "stem_bn": "bn1"}
    for block in blocks(layers):
        for step, part in _parts(block).items():
            names[f"{block.name}_{step}"] = f"blocks.{block.stage - 1}.{block.place - 1}.{part}"
    return names


def _efficientnet(layers: Layers) -> Iterator[Assignment]:
    head = {"top_conv": "conv_head", "top_bn": "bn2", "predictions": "classifier"}
    return modules(_body(layers) | head, layers)


def _mobilenet_v3(layers: Layers) -> Iterator[Assignment]:
    """Yield the assignments of a network whose last convolution before pooling is a stage of its own in timm."""
    stages = max((block.stage for block in blocks(layers)), default=0)
    head = {
        "top_conv": f"blocks.{stages}.0.conv",
        "top_bn": f"blocks.{stages}.0.bn1",
        "neck": "conv_head",
        "predictions": "classifier",
    }
    return modules(_body(layers) | head, layers)


_LOOK_ALIKES = "networks of timm without tf_ in their name, which pad and normalise differently"

TIMM_EFFICIENTNET = NameMap(_efficientnet, top=("classifier.",), look_alikes=_LOOK_ALIKES)
TIMM_MOBILENET_V3 = NameMap(_mobilenet_v3, top=("conv_head.", "classifier."), look_alikes=_LOOK_ALIKES)
