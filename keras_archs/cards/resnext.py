"""Model cards of ResNeXt."""

from keras_archs.cards.accuracy import Accuracy
from keras_archs.cards.model_card import CIFAR, ModelCard, Paper
from keras_archs.cards.resnet import TORCH
from keras_archs.images.preprocessing import Preprocessing

PAPER = Paper("Aggregated Residual Transformations for Deep Neural Networks", 2016, "1611.05431")

_FACEBOOK = "facebookresearch/ResNeXt, README.md"
_TOP1 = {
    "50-32x4d": Accuracy(77.8, _FACEBOOK),
    "101-32x4d": Accuracy(78.8, _FACEBOOK),
    "101-32x8d": None,  # a variant of torchvision
    "101-64x4d": Accuracy(79.6, _FACEBOOK),
}

_PAPER_CIFAR = "CIFAR-10 with augmentation, normalisation before each convolution; Xie et al. 2016, Table 7"
_CIFAR_TOP1 = {
    "29-8x64d": Accuracy(96.35, _PAPER_CIFAR),
    "29-16x64d": Accuracy(96.42, _PAPER_CIFAR),
}


def _card(variant: str, evaluation: Preprocessing, published: Accuracy | None) -> ModelCard:
    return ModelCard(
        name=f"resnext-{variant}",
        title=f"ResNeXt-{variant.replace('-', ' (')})",
        family="ResNeXt",
        builder=f"ResNeXt{variant.replace('-', '_')}",
        evaluation=evaluation,
        paper=PAPER,
        published=published,
    )


CARDS = (
    *(_card(variant, TORCH, published) for variant, published in _TOP1.items()),
    *(_card(variant, CIFAR, published) for variant, published in _CIFAR_TOP1.items()),
)
