from .cost import profile
from .export import export_model
from .labels import imagenet_labels
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
from .preprocessing import Preprocessing, load_image
from .registry import create_model, list_models, model_card

__all__ = [
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
