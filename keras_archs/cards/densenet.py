"""Model cards of DenseNet, DenseNet-BC and SE-DenseNet."""

from collections.abc import Iterable

from keras_archs.cards.accuracy import Accuracy
from keras_archs.cards.model_card import CIFAR, IMAGENET_MEAN, IMAGENET_STD, ModelCard, Paper
from keras_archs.cards.senet import PAPER as SE_PAPER
from keras_archs.images.preprocessing import Preprocessing

PAPER = Paper("Densely Connected Convolutional Networks", 2016, "1608.06993")

_IMAGENET = Preprocessing(size=(224, 224), mean=IMAGENET_MEAN, std=IMAGENET_STD, crop_fraction=224 / 256)

_README = "liuzhuang13/DenseNet, README.md"
_TOP1 = {
    "121": Accuracy(75.0, _README),
    "161": Accuracy(77.8, _README),
    "169": Accuracy(76.4, _README),
    "201": Accuracy(77.5, _README),
    "264": Accuracy(77.9, _README),
}
_CIFAR_TOP1 = {
    ("", 40, 12): 94.76,
    ("", 100, 12): 95.90,
    ("", 100, 24): 96.26,
    ("BC", 100, 12): 95.49,
    ("BC", 250, 24): 96.38,
    ("BC", 190, 40): 96.54,
}


def _cards() -> Iterable[ModelCard]:
    for variant, top1 in _TOP1.items():
        yield ModelCard(
            name=f"densenet-{variant}",
            title=f"DenseNet-{variant}",
            family="DenseNet",
            builder=f"DenseNet{variant}",
            evaluation=_IMAGENET,
            paper=PAPER,
            published=top1,
        )
    # DenseNet with squeeze-and-excitation is unpublished: there is no parameter count or accuracy to compare with.
    yield ModelCard(
        name="se-densenet-121",
        title="SE-DenseNet-121",
        family="DenseNet",
        builder="SEDenseNet121",
        evaluation=_IMAGENET,
        paper=SE_PAPER,
        published=None,
    )
    for (kind, depth, growth), value in _CIFAR_TOP1.items():
        title = f"DenseNet-{kind}" if kind else "DenseNet"
        yield ModelCard(
            name=f"{title.lower()}-{depth}-{growth}",
            title=f"{title} (L={depth}, k={growth})",
            family=title,
            builder=f"DenseNet{kind}{depth}_{growth}",
            evaluation=CIFAR,
            paper=PAPER,
            published=Accuracy(value, f"CIFAR-10 with augmentation; {_README}"),
        )


CARDS = tuple(_cards())
