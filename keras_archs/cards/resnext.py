"""The cards of ResNeXt."""

from keras_archs.cards import Accuracy, ModelCard, Paper
from keras_archs.cards.resnet import TORCH

PAPER = Paper("Aggregated Residual Transformations for Deep Neural Networks", 2016, "1611.05431")

_FACEBOOK = "facebookresearch/ResNeXt, README.md"
_TOP1 = {
    "50-32x4d": Accuracy(77.8, _FACEBOOK),
    "101-32x4d": Accuracy(78.8, _FACEBOOK),
    "101-32x8d": Accuracy(79.312, "weights of torchvision, IMAGENET1K_V1"),
    "101-64x4d": Accuracy(79.6, _FACEBOOK),
}

CARDS = tuple(
    ModelCard(
        name=f"resnext-{variant}",
        title=f"ResNeXt-{variant.replace('-', ' (')})",
        family="ResNeXt",
        builder=f"ResNeXt{variant.replace('-', '_')}",
        preprocessing=TORCH,
        paper=PAPER,
        top1=top1,
    )
    for variant, top1 in _TOP1.items()
)
