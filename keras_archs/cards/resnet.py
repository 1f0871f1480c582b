"""The cards of ResNet."""

from keras_archs.cards import IMAGENET_MEAN, IMAGENET_STD, Accuracy, ModelCard, Paper
from keras_archs.preprocessing import Preprocessing

PAPER = Paper("Deep Residual Learning for Image Recognition", 2015, "1512.03385")

TORCH = Preprocessing(
    size=(224, 224), mean=IMAGENET_MEAN, std=IMAGENET_STD, crop_fraction=0.875, interpolation="bilinear"
)
"""As Torch's model zoo evaluates residual networks: the middle 224 pixels of 256."""

_TORCHVISION = "weights of torchvision, IMAGENET1K_V1"
_TOP1 = {"18": 69.758, "34": 73.314, "50": 76.130, "101": 77.374, "152": 78.312}

CARDS = tuple(
    ModelCard(
        name=f"resnet-{depth}",
        title=f"ResNet-{depth}",
        family="ResNet",
        builder=f"ResNet{depth}",
        preprocessing=TORCH,
        paper=PAPER,
        top1=Accuracy(value, _TORCHVISION),
    )
    for depth, value in _TOP1.items()
)
