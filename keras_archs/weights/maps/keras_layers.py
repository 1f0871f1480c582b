"""The names that keras.applications gives to the layers of its networks, by the names of ours.

Both have their layers in the same order, which is the order of the variables in Keras' files.
"""

from keras_archs.weights.maps.blocks import blocks
from keras_archs.weights.maps.name_map import Layers

Names = dict[str, str]
"""Name of a layer in keras.applications, by the name of ours."""


def densenet(layers: Layers) -> Names:
    """Return the names of DenseNet: conv1 is the stem, conv2 to conv5 are the dense blocks."""
    names = {"stem_conv": "conv1_conv", "stem_bn": "conv1_bn", "top_bn": "bn", "predictions": "predictions"}
    parts = {"bottleneck_bn": "0_bn", "bottleneck_conv": "1_conv", "growth_bn": "1_bn", "growth_conv": "2_conv"}
    for block in blocks(layers):
        for step, part in parts.items():
            names[f"{block.name}_{step}"] = f"conv{block.stage + 1}_block{block.place}_{part}"
    for transition in (1, 2, 3):
        for part in ("bn", "conv"):
            names[f"transition{transition}_{part}"] = f"pool{transition + 1}_{part}"
    return names


def mobilenet(layers: Layers) -> Names:
    """Return the names of MobileNet, which counts blocks from 1."""
    names = {"stem_conv": "conv1", "stem_bn": "conv1_bn", "predictions": "conv_preds"}
    for number, block in enumerate(blocks(layers), start=1):
        for step, part in {"depthwise": "conv_dw", "pointwise": "conv_pw"}.items():
            names[f"{block.name}_{step}_conv"] = f"{part}_{number}"
            names[f"{block.name}_{step}_bn"] = f"{part}_{number}_bn"
    return names


def mobilenet_v2(layers: Layers) -> Names:
    """Return the names of MobileNetV2, whose first block has no number."""
    names = {
        "stem_conv": "Conv1",
        "stem_bn": "bn_Conv1",
        "top_conv": "Conv_1",
        "top_bn": "Conv_1_bn",
        "predictions": "predictions",
    }
    for number, block in enumerate(blocks(layers)):
        prefix = f"block_{number}" if number else "expanded_conv"
        for step in ("expand", "depthwise", "project"):
            names[f"{block.name}_{step}_conv"] = f"{prefix}_{step}"
            names[f"{block.name}_{step}_bn"] = f"{prefix}_{step}_BN"
    return names


def mobilenet_v3(layers: Layers) -> Names:
    """Return the names of MobileNetV3, whose first block has no number."""
    names = {
        "stem_conv": "conv",
        "stem_bn": "conv_bn",
        "top_conv": "conv_1",
        "top_bn": "conv_1_bn",
        "neck": "conv_2",
        "predictions": "logits",
    }
    for number, block in enumerate(blocks(layers)):
        prefix = f"expanded_conv_{number}" if number else "expanded_conv"
        for step in ("expand", "depthwise", "project"):
            names[f"{block.name}_{step}_conv"] = f"{prefix}_{step}"
            names[f"{block.name}_{step}_bn"] = f"{prefix}_{step}_bn"
        names[f"{block.name}_se_reduce"] = f"{prefix}_squeeze_excite_conv"
        names[f"{block.name}_se_expand"] = f"{prefix}_squeeze_excite_conv_1"
    return names


def efficientnet(layers: Layers) -> Names:
    """Return the names of EfficientNet, which counts the blocks of a stage by letters."""
    return _efficientnet(layers, depthwise="dwconv")


def efficientnet_v2(layers: Layers) -> Names:
    """Return the names of EfficientNetV2."""
    return _efficientnet(layers, depthwise="dwconv2")


def _efficientnet(layers: Layers, *, depthwise: str) -> Names:
    names = {name: name for name in ("stem_conv", "stem_bn", "top_conv", "top_bn", "predictions")}
    for block in blocks(layers):
        letter = chr(ord("a") + block.place - 1)
        # A fused block is an expansion and a projection; without expansion, it is a projection.
        fused = "expand" if "project_conv" in block.steps else "project"
        parts = {
            "depthwise_conv": depthwise,
            "depthwise_bn": "bn",
            "fused_conv": f"{fused}_conv",
            "fused_bn": f"{fused}_bn",
        }
        for step in block.steps:
            names[f"{block.name}_{step}"] = f"block{block.stage}{letter}_{parts.get(step, step)}"
    return names
