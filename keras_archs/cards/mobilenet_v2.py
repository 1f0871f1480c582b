"""Model cards of MobileNetV2."""

from keras_archs.cards.accuracy import Accuracy
from keras_archs.cards.mobilenet import preprocessing
from keras_archs.cards.model_card import ModelCard, Paper

PAPER = Paper("MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018, "1801.04381")

_SLIM = "tensorflow/models, research/slim/nets/mobilenet/README.md"
# Top-1 accuracy in per cent, by alpha.
_TOP1 = {0.35: 60.3, 0.5: 65.4, 0.75: 69.8, 1.0: 71.8, 1.3: 74.4, 1.4: 75.0}

CARDS = tuple(
    ModelCard(
        name=f"mobilenet-v2-{alpha}",
        title=f"MobileNetV2-{alpha}",
        family="MobileNetV2",
        builder="MobileNetV2",
        evaluation=preprocessing(224),
        paper=PAPER,
        published=Accuracy(top1, _SLIM),
        arguments={} if alpha == 1 else {"alpha": alpha},
    )
    for alpha, top1 in _TOP1.items()
)
