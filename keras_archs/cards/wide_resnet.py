"""The cards of Wide ResNet."""

from keras_archs.cards import Accuracy, ModelCard, Paper
from keras_archs.cards.resnet import TORCH

PAPER = Paper("Wide Residual Networks", 2016, "1605.07146")

_TOP1 = {
    "50-2": Accuracy(78.1, "szagoruyko/wide-residual-networks, pretrained/README.md"),
    "101-2": Accuracy(78.848, "weights of torchvision, IMAGENET1K_V1"),
}

CARDS = tuple(
    ModelCard(
        name=f"wide-resnet-{variant}",
        title=f"Wide ResNet-{variant}",
        family="Wide ResNet",
        builder=f"WideResNet{variant.replace('-', '_')}",
        preprocessing=TORCH,
        paper=PAPER,
        top1=top1,
    )
    for variant, top1 in _TOP1.items()
)
