"""DenseNet of pytorchcv, for ImageNet and for CIFAR."""

from keras_archs.weights.maps.block_map import block_map
from keras_archs.weights.maps.pytorchcv_residual import block_name

# A transition is the first part of the stage that it leads to.
_OUTSIDE = {
    f"transition{stage - 1}_{kind}": f"features.stage{stage}.trans{stage}.conv.{kind}"
    for stage in (2, 3, 4)
    for kind in ("bn", "conv")
} | {"top_bn": "features.post_activ.bn", "predictions": "output"}
_PARTS = {
    "bottleneck_bn": "conv1.bn",
    "bottleneck_conv": "conv1.conv",
    "growth_bn": "conv2.bn",
    "growth_conv": "conv2.conv",
}

PYTORCHCV_DENSENET = block_map(
    _OUTSIDE | {"stem_conv": "features.init_block.conv", "stem_bn": "features.init_block.bn"}, block_name, _PARTS
)
PYTORCHCV_DENSENET_CIFAR = block_map(_OUTSIDE | {"stem_conv": "features.init_block"}, block_name, _PARTS)
