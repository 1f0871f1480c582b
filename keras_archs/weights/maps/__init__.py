"""One map per source of weights: from the names of its tensors to the variables of our networks.

`keras_archs.weights.assignment` checks and assigns the values.
"""

from keras_archs.weights.maps.akamaster_resnet import AKAMASTER_RESNET
from keras_archs.weights.maps.cadene_bninception import CADENE_BNINCEPTION
from keras_archs.weights.maps.cadene_senet import CADENE_SENET
from keras_archs.weights.maps.efficientnet_lite import EFFICIENTNET_PYTORCH
from keras_archs.weights.maps.keras_applications import (
    KERAS_DENSENET,
    KERAS_EFFICIENTNET,
    KERAS_EFFICIENTNET_V2,
    KERAS_MOBILENET,
    KERAS_MOBILENET_V2,
    KERAS_MOBILENET_V3,
)
from keras_archs.weights.maps.name_map import NameMap
from keras_archs.weights.maps.pytorchcv_bninception import PYTORCHCV_BNINCEPTION
from keras_archs.weights.maps.pytorchcv_densenet import PYTORCHCV_DENSENET, PYTORCHCV_DENSENET_CIFAR
from keras_archs.weights.maps.pytorchcv_residual import (
    PYTORCHCV_RESNET,
    PYTORCHCV_RESNEXT_CIFAR,
    PYTORCHCV_SENET,
    PYTORCHCV_WRN,
)
from keras_archs.weights.maps.timm_efficientnet import TIMM_EFFICIENTNET, TIMM_MOBILENET_V3
from keras_archs.weights.maps.torch_densenet import TORCH_DENSENET
from keras_archs.weights.maps.torchvision_resnet import TIMM_SENET, TORCHVISION_RESNET

NAME_MAPS: dict[str, NameMap] = {
    "akamaster-resnet": AKAMASTER_RESNET,
    "cadene-bninception": CADENE_BNINCEPTION,
    "cadene-senet": CADENE_SENET,
    "efficientnet-pytorch": EFFICIENTNET_PYTORCH,
    "keras-densenet": KERAS_DENSENET,
    "keras-efficientnet": KERAS_EFFICIENTNET,
    "keras-efficientnet-v2": KERAS_EFFICIENTNET_V2,
    "keras-mobilenet": KERAS_MOBILENET,
    "keras-mobilenet-v2": KERAS_MOBILENET_V2,
    "keras-mobilenet-v3": KERAS_MOBILENET_V3,
    "pytorchcv-bninception": PYTORCHCV_BNINCEPTION,
    "pytorchcv-densenet": PYTORCHCV_DENSENET,
    "pytorchcv-densenet-cifar": PYTORCHCV_DENSENET_CIFAR,
    "pytorchcv-resnet": PYTORCHCV_RESNET,
    "pytorchcv-resnext-cifar": PYTORCHCV_RESNEXT_CIFAR,
    "pytorchcv-senet": PYTORCHCV_SENET,
    "pytorchcv-wrn": PYTORCHCV_WRN,
    "timm-efficientnet": TIMM_EFFICIENTNET,
    "timm-mobilenet-v3": TIMM_MOBILENET_V3,
    "timm-senet": TIMM_SENET,
    "torch-densenet": TORCH_DENSENET,
    "torchvision-resnet": TORCHVISION_RESNET,
}
"""Every map by the name that entries call it."""
