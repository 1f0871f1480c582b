"""Residual networks of pytorchcv: ResNet, ResNeXt, their SE forms and SENet-154; ResNeXt and Wide ResNet for CIFAR."""

from keras_archs.weights.maps.block_map import block_map
from keras_archs.weights.maps.blocks import Block

_CONVOLUTIONS = {
    "conv1": "body.conv1.conv",
    "conv1_bn": "body.conv1.bn",
    "conv2": "body.conv2.conv",
    "conv2_bn": "body.conv2.bn",
    "conv3": "body.conv3.conv",
    "conv3_bn": "body.conv3.bn",
}
_PARTS = _CONVOLUTIONS | {
    "shortcut": "identity_conv.conv",
    "shortcut_bn": "identity_conv.bn",
    "se_reduce": "se.conv1",
    "se_expand": "se.conv2",
}


def block_name(block: Block) -> str:
    """Return the start of the names of a block's modules, also of the layers of a DenseNet."""
    return f"features.stage{block.stage}.unit{block.place}"


PYTORCHCV_RESNET = block_map(
    {
        "stem_conv": "features.init_block.conv.conv",
        "stem_conv_bn": "features.init_block.conv.bn",
        "predictions": "output",
    },
    block_name,
    _PARTS,
)
PYTORCHCV_SENET = block_map(
    {
        "stem_conv1": "features.init_block.conv1.conv",
        "stem_conv1_bn": "features.init_block.conv1.bn",
        "stem_conv2": "features.init_block.conv2.conv",
        "stem_conv2_bn": "features.init_block.conv2.bn",
        "stem_conv3": "features.init_block.conv3.conv",
        "stem_conv3_bn": "features.init_block.conv3.bn",
        "predictions": "output.fc",
    },
    block_name,
    _PARTS,
)
PYTORCHCV_RESNEXT_CIFAR = block_map(
    {
        "stem_conv": "features.init_block.conv",
        "stem_conv_bn": "features.init_block.bn",
        "predictions": "output",
    },
    block_name,
    _PARTS,
)
PYTORCHCV_WRN = block_map(
    {"stem_conv": "features.init_block", "top_bn": "features.post_activ.bn", "predictions": "output"},
    block_name,
    _CONVOLUTIONS | {"shortcut": "identity_conv"},
)
