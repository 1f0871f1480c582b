"""Model cards of EfficientNet and EfficientNet-Lite."""

from collections.abc import Iterable

from keras_archs.cards.accuracy import Accuracy
from keras_archs.cards.model_card import IMAGENET_MEAN, IMAGENET_STD, ModelCard, Paper
from keras_archs.cards.scaling import EFFICIENTNET, EFFICIENTNET_LITE
from keras_archs.images.preprocessing import Preprocessing

PAPER = Paper("EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019, "1905.11946")

_GOOGLE = "AutoAugment; tensorflow/tpu, models/official/efficientnet/README.md"
_GOOGLE_LITE = "tensorflow/tpu, models/official/efficientnet/lite/README.md"
_TOP1 = {
    "b0": Accuracy(77.1, _GOOGLE),
    "b1": Accuracy(79.1, _GOOGLE),
    "b2": Accuracy(80.1, _GOOGLE),
    "b3": Accuracy(81.6, _GOOGLE),
    "b4": Accuracy(82.9, _GOOGLE),
    "b5": Accuracy(83.6, _GOOGLE),
    "b6": Accuracy(84.0, _GOOGLE),
    "b7": Accuracy(84.3, _GOOGLE),
    "lite0": Accuracy(75.1, _GOOGLE_LITE),
    "lite1": Accuracy(76.7, _GOOGLE_LITE),
    "lite2": Accuracy(77.6, _GOOGLE_LITE),
    "lite3": Accuracy(79.8, _GOOGLE_LITE),
    "lite4": Accuracy(81.5, _GOOGLE_LITE),
}


def _cards() -> Iterable[ModelCard]:
    for variant, scaling in (EFFICIENTNET | EFFICIENTNET_LITE).items():
        lite = variant in EFFICIENTNET_LITE
        size = scaling.resolution
        yield ModelCard(
            name=f"efficientnet-{variant}",
            title=f"EfficientNet-{variant.capitalize()}",
            family="EfficientNet-Lite" if lite else "EfficientNet",
            builder=f"EfficientNet{variant.capitalize()}",
            evaluation=Preprocessing(
                size=(size, size),
                mean=(127.0,) * 3 if lite else IMAGENET_MEAN,
                std=(128.0,) * 3 if lite else IMAGENET_STD,
                # Google's evaluation crops a border of 16 pixels on each side.
                crop_fraction=size / (size + 32),
                interpolation="bicubic",
            ),
            paper=PAPER,
            published=_TOP1[variant],
        )


CARDS = tuple(_cards())
