"""Model cards of SE-ResNet, SE-ResNeXt and SENet-154."""

from dataclasses import replace

from keras_archs.cards.model_card import Accuracy, ModelCard, Paper
from keras_archs.cards.resnet import TORCH

PAPER = Paper("Squeeze-and-Excitation Networks", 2017, "1709.01507")

# The authors' weights are for networks with Caffe's pooling; their SE-ResNets have the stride in the 1x1 convolution.
_AUTHORS = "Caffe's variant of the network; hujie-frank/SENet, README.md"
_TIMM = "Caffe's variant of the network, weights legacy_seresnet*.in1k evaluated by timm; results-imagenet.csv"
_TOP1 = {
    "resnet-18": Accuracy(71.742, _TIMM),
    "resnet-34": Accuracy(74.788, _TIMM),
    "resnet-50": Accuracy(77.63, _AUTHORS),
    "resnet-101": Accuracy(78.25, _AUTHORS),
    "resnet-152": Accuracy(78.66, _AUTHORS),
    "resnext-50-32x4d": Accuracy(79.03, _AUTHORS),
    "resnext-101-32x4d": Accuracy(80.19, _AUTHORS),
}


def _card(variant: str, top1: Accuracy) -> ModelCard:
    family, depth, *template = variant.split("-")
    family = {"resnet": "SE-ResNet", "resnext": "SE-ResNeXt"}[family]
    return ModelCard(
        name=f"se-{variant}",
        title=f"{family}-{depth}" + "".join(f" ({part})" for part in template),
        family=family,
        builder="_".join([family.replace("-", "") + depth, *template]),
        preprocessing=TORCH,
        paper=PAPER,
        top1=top1,
    )


CARDS = (
    *(_card(variant, top1) for variant, top1 in _TOP1.items()),
    ModelCard(
        name="senet-154",
        title="SENet-154",
        family="SENet",
        builder="SENet154",
        preprocessing=replace(TORCH, interpolation="bicubic"),
        paper=PAPER,
        # The authors' weights, for Caffe's variant, reach 81.32.
        top1=Accuracy(81.258, "weights senet154.gluon_in1k evaluated by timm; results-imagenet.csv"),
    ),
)
