"""Model cards of ResNet."""

from keras_archs.cards.accuracy import Accuracy
from keras_archs.cards.model_card import CIFAR, IMAGENET_MEAN, IMAGENET_STD, ModelCard, Paper
from keras_archs.images.preprocessing import Preprocessing

PAPER = Paper("Deep Residual Learning for Image Recognition", 2015, "1512.03385")

TORCH = Preprocessing(
    size=(224, 224), mean=IMAGENET_MEAN, std=IMAGENET_STD, crop_fraction=0.875, interpolation="bilinear"
)
"""Preprocessing of Torch's model zoo for residual networks: the central 224 of 256 pixels."""

_AUTHORS = "Caffe's variant of the network; KaimingHe/deep-residual-networks, README.md"
# Of ResNet-18 and 34 the authors give the accuracy with 10 crops only (Table 2).
_TOP1 = {
    "18": None,
    "34": None,
    "50": Accuracy(75.3, _AUTHORS),
    "101": Accuracy(76.4, _AUTHORS),
    "152": Accuracy(77.0, _AUTHORS),
}

_CIFAR_TOP1 = {"20": 91.25, "32": 92.49, "44": 92.83, "56": 93.03, "110": 93.57, "1202": 92.07}


def _card(depth: str, evaluation: Preprocessing, published: Accuracy | None) -> ModelCard:
    return ModelCard(
        name=f"resnet-{depth}",
        title=f"ResNet-{depth}",
        family="ResNet",
        builder=f"ResNet{depth}",
        evaluation=evaluation,
        paper=PAPER,
        published=published,
    )


CARDS = (
    *(_card(depth, TORCH, published) for depth, published in _TOP1.items()),
    *(
        _card(depth, CIFAR, Accuracy(value, "CIFAR-10 with augmentation; He et al. 2015, Table 6"))
        for depth, value in _CIFAR_TOP1.items()
    ),
)
