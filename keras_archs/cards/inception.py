"""The cards of BN-Inception and SE-BN-Inception."""

from keras_archs.cards.model_card import Accuracy, ModelCard, Paper
from keras_archs.cards.senet import PAPER as SE_PAPER
from keras_archs.images.preprocessing import Preprocessing

PAPER = Paper(
    "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift", 2015, "1502.03167"
)

# As in the Caffe models: the mean of the pixels is subtracted and nothing else. Their channels are BGR and these RGB,
# so that their first convolution's weights must change places on the way here.
_CAFFE = Preprocessing(
    size=(224, 224), mean=(123.0, 117.0, 104.0), std=(1.0, 1.0, 1.0), crop_fraction=224 / 256, interpolation="bilinear"
)

CARDS = (
    ModelCard(
        name="bn-inception",
        title="BN-Inception",
        family="BN-Inception",
        builder="BNInception",
        preprocessing=_CAFFE,
        paper=PAPER,
        top1=Accuracy(74.8, "Ioffe & Szegedy 2015, figure 4"),
    ),
    ModelCard(
        name="se-bn-inception",
        title="SE-BN-Inception",
        family="BN-Inception",
        builder="SEBNInception",
        preprocessing=_CAFFE,
        paper=SE_PAPER,
        top1=Accuracy(76.38, "hujie-frank/SENet, README.md"),
    ),
)
