"""The cards of residual networks with stochastic depth."""

from keras_archs.cards import ModelCard, Paper
from keras_archs.cards.resnet import TORCH

PAPER = Paper("Deep Networks with Stochastic Depth", 2016, "1603.09382")

CARDS = tuple(
    ModelCard(
        name=f"stochastic-depth-resnet-{depth}",
        title=f"ResNet-{depth} with stochastic depth",
        family="Stochastic depth",
        builder=f"StochasticDepthResNet{depth}",
        preprocessing=TORCH,
        paper=PAPER,
        top1=None,
    )
    for depth in (50, 101, 152)
)
