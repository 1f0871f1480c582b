"""SE-ResNet, SE-ResNeXt and SENet-154 of Cadene/pretrained-models.pytorch; timm has them as ``legacy_``."""

from keras_archs.weights.maps.block_map import block_map
from keras_archs.weights.maps.torchvision_resnet import PARTS, block_name

CADENE_SENET = block_map(
    {
        "stem_conv": "layer0.conv1",
        "stem_conv_bn": "layer0.bn1",
        "stem_conv1": "layer0.conv1",
        "stem_conv1_bn": "layer0.bn1",
        "stem_conv2": "layer0.conv2",
        "stem_conv2_bn": "layer0.bn2",
        "stem_conv3": "layer0.conv3",
        "stem_conv3_bn": "layer0.bn3",
        "predictions": "last_linear",
    },
    block_name,
    PARTS | {"se_reduce": "se_module.fc1", "se_expand": "se_module.fc2"},
)
