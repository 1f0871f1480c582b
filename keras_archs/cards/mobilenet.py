"""Model cards of MobileNet and SE-MobileNet."""

from collections.abc import Iterable

from keras_archs.cards.accuracy import Accuracy
from keras_archs.cards.model_card import ModelCard, Paper
from keras_archs.cards.senet import PAPER as SE_PAPER
from keras_archs.images.preprocessing import Preprocessing

PAPER = Paper("MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", 2017, "1704.04861")

_SLIM = "tensorflow/models, research/slim/nets/mobilenet_v1.md"
# Top-1 accuracy in per cent, by alpha and image size.
_TOP1 = {
    1.0: {224: 70.9, 192: 70.0, 160: 68.0, 128: 65.2},
    0.75: {224: 68.4, 192: 67.2, 160: 65.3, 128: 62.1},
    0.5: {224: 63.3, 192: 61.7, 160: 59.1, 128: 56.3},
    0.25: {224: 49.8, 192: 47.7, 160: 45.5, 128: 41.5},
}


def preprocessing(size: int) -> Preprocessing:
    """Return the preprocessing of TF-slim's evaluation of all MobileNets: pixels from -1 to 1."""
    return Preprocessing(size=(size, size), mean=(127.5,) * 3, std=(127.5,) * 3, interpolation="bilinear")


def _cards() -> Iterable[ModelCard]:
    for alpha, by_size in _TOP1.items():
        for size, top1 in by_size.items():
            arguments = {"alpha": alpha, "rho": size / 224}
            yield ModelCard(
                name=f"mobilenet-{alpha}-{size}",
                title=f"MobileNet-{alpha}-{size}",
                family="MobileNet",
                builder="MobileNet",
                evaluation=preprocessing(size),
                paper=PAPER,
                published=Accuracy(top1, _SLIM),
                arguments={key: value for key, value in arguments.items() if value != 1},
            )
    yield ModelCard(
        name="se-mobilenet",
        title="SE-MobileNet",
        family="MobileNet",
        builder="SEMobileNet",
        evaluation=preprocessing(224),
        paper=SE_PAPER,
        published=Accuracy(74.7, "Hu et al. 2017, table 3"),
        without_weights="the authors of squeeze-and-excitation published none for this network",
    )


CARDS = tuple(_cards())
