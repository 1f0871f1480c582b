from .budget import Budget, mobilenet_for_budget
from .cost import profile
from .explain import class_activation_map, feature_reuse, grad_cam, squeeze_excitations
from .export import export_model
from .family import ShortTraining, member_for_budget, members, scale_family, search_coefficients
from .heatmap import overlay
from .labels import imagenet_labels
from .latency import measure_latency
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
    EfficientNet,
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
from .models.efficientnet_v2 import (
    EfficientNetV2B0,
    EfficientNetV2B1,
    EfficientNetV2B2,
    EfficientNetV2B3,
    EfficientNetV2L,
    EfficientNetV2M,
    EfficientNetV2S,
)
from .models.mobilenet import MobileNet, SEMobileNet
from .models.mobilenet_v2 import MobileNetV2
from .models.mobilenet_v3 import MobileNetV3Large, MobileNetV3Small
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
from .models.stochastic_depth import (
    StochasticDepthResNet50,
    StochasticDepthResNet101,
    StochasticDepthResNet152,
)
from .models.wide_resnet import WideResNet50_2, WideResNet101_2
from .plots import plot_comparison, plot_cost, plot_excitations, plot_feature_reuse
from .preprocessing import Preprocessing, load_image
from .registry import create_model, list_models, model_card
from .scaling import compound_scale
from .separable import mobilenet_savings, separable_cost
from .survival import set_survival_probabilities, survival_probabilities

__all__ = [
    "Budget",
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
    "EfficientNet",
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
    "EfficientNetV2B0",
    "EfficientNetV2B1",
    "EfficientNetV2B2",
    "EfficientNetV2B3",
    "EfficientNetV2L",
    "EfficientNetV2M",
    "EfficientNetV2S",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Large",
    "MobileNetV3Small",
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
    "SEMobileNet",
    "SEResNeXt50_32x4d",
    "SEResNeXt101_32x4d",
    "SEResNet18",
    "SEResNet34",
    "SEResNet50",
    "SEResNet101",
    "SEResNet152",
    "ShortTraining",
    "StochasticDepthResNet50",
    "StochasticDepthResNet101",
    "StochasticDepthResNet152",
    "WideResNet50_2",
    "WideResNet101_2",
    "__version__",
    "class_activation_map",
    "compound_scale",
    "create_model",
    "export_model",
    "feature_reuse",
    "grad_cam",
    "imagenet_labels",
    "list_models",
    "load_image",
    "measure_latency",
    "member_for_budget",
    "members",
    "mobilenet_for_budget",
    "mobilenet_savings",
    "model_card",
    "overlay",
    "plot_comparison",
    "plot_cost",
    "plot_excitations",
    "plot_feature_reuse",
    "profile",
    "scale_family",
    "search_coefficients",
    "separable_cost",
    "set_survival_probabilities",
    "squeeze_excitations",
    "survival_probabilities",
]

__version__: str
