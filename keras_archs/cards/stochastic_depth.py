"""Model cards of residual networks with stochastic depth."""

from keras_archs.cards.accuracy import Accuracy
from keras_archs.cards.model_card import CIFAR, ModelCard, Paper
from keras_archs.cards.resnet import TORCH

PAPER = Paper("Deep Networks with Stochastic Depth", 2016, "1603.09382")

_README = "CIFAR-10 with augmentation; yueatsprograms/Stochastic_Depth, README.md"
_TOP1 = {"110": Accuracy(94.75, _README), "1202": Accuracy(95.09, "CIFAR-10 with augmentation; Huang et al. 2016")}

CARDS = tuple(
    ModelCard(
        name=f"stochastic-depth-resnet-{depth}",
        title=f"ResNet-{depth} with stochastic depth",
        family="Stochastic depth",
        builder=f"StochasticDepthResNet{depth}",
        evaluation=CIFAR if depth in _TOP1 else TORCH,
        paper=PAPER,
        published=_TOP1.get(depth),
    )
    for depth in ("50", "101", "110", "152", "1202")
)
