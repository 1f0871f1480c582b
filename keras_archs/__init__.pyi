from .cost import profile
from .export import export_model
from .labels import imagenet_labels
from .models.densenet import (
    DenseNet40_12,
    DenseNet100_12,
    DenseNet100_24,
    DenseNet121,
    DenseNet161,
    DenseNet169,
    DenseNet201,
    DenseNet264,
    DenseNetBC100_12,
    DenseNetBC190_40,
    DenseNetBC250_24,
)
from .models.efficientnet import (
    EfficientNetB0,
    EfficientNetB1,
    EfficientNetB2,
    EfficientNetB3,
    EfficientNetB4,
    EfficientNetB5,
    EfficientNetB6,
    EfficientNetB7,
    EfficientNetLite0,
    EfficientNetLite1,
    EfficientNetLite2,
    EfficientNetLite3,
    EfficientNetLite4,
)
from .models.mobilenet import MobileNet, SEMobileNet
from .models.mobilenet_v2 import MobileNetV2
from .models.mobilenet_v3 import MobileNetV3Large, MobileNetV3Small
from .models.efficientnet_v2 import (
    EfficientNetV2B0,
    EfficientNetV2B1,
    EfficientNetV2B2,
    EfficientNetV2B3,
    EfficientNetV2L,
    EfficientNetV2M,
    EfficientNetV2S,
)
from .preprocessing import Preprocessing, load_image
from .registry import create_model, list_models, model_card

__all__ = [
    "DenseNet40_12",
    "DenseNet100_12",
    "DenseNet100_24",
    "DenseNet121",
    "DenseNet161",
    "DenseNet169",
    "DenseNet201",
    "DenseNet264",
    "DenseNetBC100_12",
    "DenseNetBC190_40",
    "DenseNetBC250_24",
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetB2",
    "EfficientNetB3",
    "EfficientNetB4",
    "EfficientNetB5",
    "EfficientNetB6",
    "EfficientNetB7",
    "EfficientNetLite0",
    "EfficientNetLite1",
    "EfficientNetLite2",
    "EfficientNetLite3",
    "EfficientNetLite4",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Large",
    "MobileNetV3Small",
    "EfficientNetV2B0",
    "EfficientNetV2B1",
    "EfficientNetV2B2",
    "EfficientNetV2B3",
    "EfficientNetV2L",
    "EfficientNetV2M",
    "EfficientNetV2S",
    "Preprocessing",
    "SEMobileNet",
    "__version__",
    "create_model",
    "export_model",
    "imagenet_labels",
    "list_models",
    "load_image",
    "model_card",
    "profile",
]

__version__: str
