"""Model cards of BN-Inception and SE-BN-Inception."""

from keras_archs.cards.accuracy import Accuracy
from keras_archs.cards.model_card import ModelCard, Paper
from keras_archs.cards.senet import PAPER as SE_PAPER
from keras_archs.images.preprocessing import Preprocessing

PAPER = Paper(
    "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift", 2015, "1502.03167"
)

# The Caffe models subtract the mean pixel and do not divide. Their channels are BGR, ours RGB.
_CAFFE = Preprocessing(
    size=(224, 224), mean=(123.0, 117.0, 104.0), std=(1.0, 1.0, 1.0), crop_fraction=224 / 256, interpolation="bilinear"
)

CARDS = (
    ModelCard(
        name="bn-inception",
        title="BN-Inception",
        family="BN-Inception",
        builder="BNInception",
        evaluation=_CAFFE,
        paper=PAPER,
        published=Accuracy(74.8, "Ioffe & Szegedy 2015, figure 4"),
    ),
    ModelCard(
        name="se-bn-inception",
        title="SE-BN-Inception",
        family="BN-Inception",
        builder="SEBNInception",
        evaluation=_CAFFE,
        paper=SE_PAPER,
        published=Accuracy(76.38, "hujie-frank/SENet, README.md"),
        without_weights="the authors' weights are a Caffe file, a format that this package does not read",
    ),
)
