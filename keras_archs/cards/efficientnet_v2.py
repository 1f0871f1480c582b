"""Model cards of EfficientNetV2."""

from collections.abc import Iterable

from keras_archs.cards.accuracy import Accuracy
from keras_archs.cards.model_card import IMAGENET_MEAN, IMAGENET_STD, ModelCard, Paper
from keras_archs.cards.scaling import EFFICIENTNET_V2
from keras_archs.images.preprocessing import Preprocessing

PAPER = Paper("EfficientNetV2: Smaller Models and Faster Training", 2021, "2104.00298")

_TOP1 = {"b0": 78.7, "b1": 79.8, "b2": 80.5, "b3": 82.1, "s": 83.9, "m": 85.2, "l": 85.7}


def _cards() -> Iterable[ModelCard]:
    for variant, scaling in EFFICIENTNET_V2.items():
        as_v1 = variant.startswith("b")  # trained with EfficientNet's preprocessing
        size = scaling.resolution
        yield ModelCard(
            name=f"efficientnet-v2-{variant}",
            title=f"EfficientNetV2-{variant.upper()}",
            family="EfficientNetV2",
            builder=f"EfficientNetV2{variant.upper()}",
            evaluation=Preprocessing(
                size=(size, size),
                mean=IMAGENET_MEAN if as_v1 else (128.0,) * 3,
                std=IMAGENET_STD if as_v1 else (128.0,) * 3,
                crop_fraction=size / (size + 32) if as_v1 else 1.0,
                interpolation="bicubic",
            ),
            paper=PAPER,
            published=Accuracy(_TOP1[variant], "ImageNet-1k weights; google/automl, efficientnetv2/README.md"),
        )


CARDS = tuple(_cards())
