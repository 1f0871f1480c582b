"""Model cards of Wide ResNet."""

from keras_archs.cards.accuracy import Accuracy
from keras_archs.cards.model_card import CIFAR, ModelCard, Paper
from keras_archs.cards.resnet import TORCH
from keras_archs.images.preprocessing import Preprocessing

PAPER = Paper("Wide Residual Networks", 2016, "1605.07146")

_TOP1 = {
    "50-2": Accuracy(78.1, "szagoruyko/wide-residual-networks, pretrained/README.md"),
    "101-2": None,  # a variant of torchvision
}

_MEAN_STD = "CIFAR-10 with augmentation, without dropout; Zagoruyko & Komodakis 2016, Table {}"
_ZCA = "CIFAR-10 whitened, with augmentation, without dropout; Zagoruyko & Komodakis 2016, Table 4"
_CIFAR_TOP1 = {
    "16-4": Accuracy(94.98, _MEAN_STD.format(6)),
    "16-8": Accuracy(95.73, _MEAN_STD.format(5)),
    "22-8": Accuracy(95.62, _ZCA),
    "28-10": Accuracy(96.00, _MEAN_STD.format(5)),
    "40-2": Accuracy(94.67, _ZCA),
    "40-4": Accuracy(95.47, _MEAN_STD.format(5)),
}


def _card(variant: str, evaluation: Preprocessing, published: Accuracy | None) -> ModelCard:
    return ModelCard(
        name=f"wide-resnet-{variant}",
        title=f"Wide ResNet-{variant}",
        family="Wide ResNet",
        builder=f"WideResNet{variant.replace('-', '_')}",
        evaluation=evaluation,
        paper=PAPER,
        published=published,
    )


CARDS = (
    *(_card(variant, TORCH, published) for variant, published in _TOP1.items()),
    *(_card(variant, CIFAR, published) for variant, published in _CIFAR_TOP1.items()),
)
