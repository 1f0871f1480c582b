"""Model cards of MobileNetV3."""

from collections.abc import Iterable
from typing import Any

from keras_archs.cards.accuracy import Accuracy
from keras_archs.cards.mobilenet import preprocessing
from keras_archs.cards.model_card import ModelCard, Paper

PAPER = Paper("Searching for MobileNetV3", 2019, "1905.02244")

_SLIM = "tensorflow/models, research/slim/nets/mobilenet/README.md"
_ARGUMENTS: dict[str, dict[str, Any]] = {
    "1.0": {},
    "0.75": {"alpha": 0.75},
    "minimalistic": {"minimalistic": True},
}
_TOP1 = {
    "large": {"1.0": 75.2, "0.75": 73.3, "minimalistic": 72.3},
    "small": {"1.0": 67.5, "0.75": 65.4, "minimalistic": 61.9},
}


def _cards() -> Iterable[ModelCard]:
    for size, by_variant in _TOP1.items():
        for variant, top1 in by_variant.items():
            yield ModelCard(
                name=f"mobilenet-v3-{size}-{variant}",
                title=f"MobileNetV3-{size.capitalize()}-{variant}",
                family="MobileNetV3",
                builder=f"MobileNetV3{size.capitalize()}",
                evaluation=preprocessing(224),
                paper=PAPER,
                published=Accuracy(top1, _SLIM),
                arguments=_ARGUMENTS[variant],
            )


CARDS = tuple(_cards())
