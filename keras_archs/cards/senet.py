"""Model cards of SE-ResNet, SE-ResNeXt and SENet-154."""

from keras_archs.cards.accuracy import Accuracy
from keras_archs.cards.model_card import ModelCard, Paper
from keras_archs.cards.resnet import TORCH

PAPER = Paper("Squeeze-and-Excitation Networks", 2017, "1709.01507")

# The authors' weights are for networks with Caffe's pooling; their SE-ResNets have the stride in the 1x1 convolution.
# The authors have no SE-ResNet-18 and 34. timm's legacy_seresnet18 (71.742 %) and legacy_seresnet34 (74.788 %) are
# other networks: their basic blocks have a ReLU between the last normalisation and squeeze-and-excitation.
_AUTHORS = "Caffe's variant of the network; hujie-frank/SENet, README.md"
_TOP1 = {
    "resnet-18": None,
    "resnet-34": None,
    "resnet-50": Accuracy(77.63, _AUTHORS),
    "resnet-101": Accuracy(78.25, _AUTHORS),
    "resnet-152": Accuracy(78.66, _AUTHORS),
    "resnext-50-32x4d": Accuracy(79.03, _AUTHORS),
    "resnext-101-32x4d": Accuracy(80.19, _AUTHORS),
}


_WITHOUT_WEIGHTS = {
    "resnet-34": "timm's legacy_seresnet34 is another network: its blocks have a ReLU before squeeze-and-excitation",
}


def _card(variant: str, published: Accuracy | None) -> ModelCard:
    family, depth, *template = variant.split("-")
    family = {"resnet": "SE-ResNet", "resnext": "SE-ResNeXt"}[family]
    return ModelCard(
        name=f"se-{variant}",
        title=f"{family}-{depth}" + "".join(f" ({part})" for part in template),
        family=family,
        builder="_".join([family.replace("-", "") + depth, *template]),
        evaluation=TORCH,
        paper=PAPER,
        published=published,
        without_weights=_WITHOUT_WEIGHTS.get(variant, ModelCard.without_weights),
    )


CARDS = (
    *(_card(variant, published) for variant, published in _TOP1.items()),
    ModelCard(
        name="senet-154",
        title="SENet-154",
        family="SENet",
        builder="SENet154",
        evaluation=TORCH,
        paper=PAPER,
        published=Accuracy(81.32, _AUTHORS),
    ),
)
