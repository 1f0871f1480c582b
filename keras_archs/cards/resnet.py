"""Model cards of ResNet."""

from keras_archs.cards.model_card import CIFAR, IMAGENET_MEAN, IMAGENET_STD, Accuracy, ModelCard, Paper
from keras_archs.images.preprocessing import Preprocessing

PAPER = Paper("Deep Residual Learning for Image Recognition", 2015, "1512.03385")

TORCH = Preprocessing(
    size=(224, 224), mean=IMAGENET_MEAN, std=IMAGENET_STD, crop_fraction=0.875, interpolation="bilinear"
)
"""Preprocessing of Torch's model zoo for residual networks: the central 224 of 256 pixels."""

_TORCHVISION = "weights of torchvision, IMAGENET1K_V1"
_TOP1 = {"18": 69.758, "34": 73.314, "50": 76.130, "101": 77.374, "152": 78.312}

_CIFAR_TOP1 = {"20": 91.25, "32": 92.49, "44": 92.83, "56": 93.03, "110": 93.57, "1202": 92.07}


def _card(depth: str, preprocessing: Preprocessing, top1: Accuracy) -> ModelCard:
    return ModelCard(
        name=f"resnet-{depth}",
        title=f"ResNet-{depth}",
        family="ResNet",
        builder=f"ResNet{depth}",
        preprocessing=preprocessing,
        paper=PAPER,
        top1=top1,
    )


CARDS = (
    *(_card(depth, TORCH, Accuracy(value, _TORCHVISION)) for depth, value in _TOP1.items()),
    *(
        _card(depth, CIFAR, Accuracy(value, "CIFAR-10 with augmentation; He et al. 2015, Table 6"))
        for depth, value in _CIFAR_TOP1.items()
    ),
)
