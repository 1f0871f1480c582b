"""ResNet, Wide ResNet and ResNeXt of torchvision, and their SE forms of timm."""

from keras_archs.weights.maps.block_map import block_map
from keras_archs.weights.maps.blocks import Block

STEM = {"stem_conv": "conv1", "stem_conv_bn": "bn1"}
PARTS = {
    "conv1": "conv1",
    "conv1_bn": "bn1",
    "conv2": "conv2",
    "conv2_bn": "bn2",
    "conv3": "conv3",
    "conv3_bn": "bn3",
    "shortcut": "downsample.0",
    "shortcut_bn": "downsample.1",
}

_TIMM_DEEP_STEM = {
    "stem_conv1": "conv1.0",
    "stem_conv1_bn": "conv1.1",
    "stem_conv2": "conv1.3",
    "stem_conv2_bn": "conv1.4",
    "stem_conv3": "conv1.6",
    "stem_conv3_bn": "bn1",
}


def block_name(block: Block) -> str:
    """Return the start of the names of a block's modules."""
    return f"layer{block.stage}.{block.place - 1}"


TORCHVISION_RESNET = block_map(STEM | {"predictions": "fc"}, block_name, PARTS)
TIMM_SENET = block_map(
    STEM | _TIMM_DEEP_STEM | {"predictions": "fc"},
    block_name,
    PARTS | {"se_reduce": "se.fc1", "se_expand": "se.fc2"},
)
