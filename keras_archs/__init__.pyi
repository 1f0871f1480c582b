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
from .models.resnet import (
    ResNet18,
    ResNet34,
    ResNet50,
    ResNet101,
    ResNet152,
)
from .models.resnext import (
    ResNeXt50_32x4d,
    ResNeXt101_32x4d,
    ResNeXt101_32x8d,
    ResNeXt101_64x4d,
)
from .models.senet import (
    SEResNet18,
    SEResNet34,
    SEResNet50,
    SEResNet101,
    SEResNet152,
    SEResNeXt50_32x4d,
    SEResNeXt101_32x4d,
)
from .models.wide_resnet import WideResNet50_2, WideResNet101_2
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
    "Preprocessing",
    "ResNeXt50_32x4d",
    "ResNeXt101_32x4d",
    "ResNeXt101_32x8d",
    "ResNeXt101_64x4d",
    "ResNet18",
    "ResNet34",
    "ResNet50",
    "ResNet101",
    "ResNet152",
    "SEResNeXt50_32x4d",
    "SEResNeXt101_32x4d",
    "SEResNet18",
    "SEResNet34",
    "SEResNet50",
    "SEResNet101",
    "SEResNet152",
    "WideResNet50_2",
    "WideResNet101_2",
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
