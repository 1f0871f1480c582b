"""SENet: Hu et al., "Squeeze-and-Excitation Networks" (2017).

Gates computed from all channels of a branch scale each channel before the branch is added to the shortcut (figure 3),
at hardly any cost. SE-ResNet and SE-ResNeXt are ResNet and ResNeXt with such gates. The bottleneck between squeeze and
excitation has a sixteenth of the channels, C/16, also where that is less than 8.

The authors' networks of bottlenecks have Caffe's pooling in the stem, which pads on one side only:
``stem_pooling="caffe"``. Their SE-ResNet-50, 101 and 152 halve the image in the first 1x1 convolution:
``stride_in_1x1=True``. The defaults are as for ResNet.

SENet-154, the winner of ILSVRC 2017, is a ResNeXt-152 of 64 groups with further changes (appendix).
"""

from typing import Annotated, Literal, Unpack

import keras

from keras_archs.layers.options import DropoutRate, Option, Override, one_of
from keras_archs.models.architecture import architecture
from keras_archs.models.resnet import RESNET, BottleneckOptions, Plan, ResidualOptions, residual_network
from keras_archs.models.resnext import ResNeXtOptions, resnext

SE_RATIO = 1 / 16

SENET_154 = Plan(repeats=(3, 8, 36, 3), groups=64, width=4, reduction=2, projection=3, deep_stem=True)


StemPooling = Annotated[
    Literal["torch", "caffe"],
    Option(
        "torch",
        'Border of the stem\'s pooling: "torch" on all sides, as in ResNet, or "caffe" on the right and lower side '
        "only, as in the authors' networks.",
        one_of("torch", "caffe"),
    ),
]


class SEResNetOptions(BottleneckOptions, total=False):
    """Arguments of SE-ResNets of bottlenecks."""

    stem_pooling: StemPooling


class SEResNeXtOptions(ResNeXtOptions, total=False):
    """Arguments of SE-ResNeXt."""

    stem_pooling: StemPooling


class SENet154Options(ResidualOptions, total=False):
    """Arguments of SENet-154."""

    dropout_rate: Annotated[DropoutRate, Override(default=0.2)]
    stem_pooling: StemPooling


@architecture(ResidualOptions, se_ratio=SE_RATIO)
def SEResNet18(**options: Unpack[ResidualOptions]) -> keras.Model:
    """SE-ResNet-18 for images of 224 pixels: ResNet-18 with squeeze-and-excitation."""
    return residual_network(RESNET["18"], **options)


@architecture(ResidualOptions, se_ratio=SE_RATIO)
def SEResNet34(**options: Unpack[ResidualOptions]) -> keras.Model:
    """SE-ResNet-34 for images of 224 pixels: ResNet-34 with squeeze-and-excitation."""
    return residual_network(RESNET["34"], **options)


@architecture(SEResNetOptions, se_ratio=SE_RATIO)
def SEResNet50(**options: Unpack[SEResNetOptions]) -> keras.Model:
    """SE-ResNet-50 for images of 224 pixels: ResNet-50 with squeeze-and-excitation (Table 1)."""
    return residual_network(RESNET["50"], **options)


@architecture(SEResNetOptions, se_ratio=SE_RATIO)
def SEResNet101(**options: Unpack[SEResNetOptions]) -> keras.Model:
    """SE-ResNet-101 for images of 224 pixels: ResNet-101 with squeeze-and-excitation (Table 2)."""
    return residual_network(RESNET["101"], **options)


@architecture(SEResNetOptions, se_ratio=SE_RATIO)
def SEResNet152(**options: Unpack[SEResNetOptions]) -> keras.Model:
    """SE-ResNet-152 for images of 224 pixels: ResNet-152 with squeeze-and-excitation (Table 2)."""
    return residual_network(RESNET["152"], **options)


@architecture(SEResNeXtOptions, se_ratio=SE_RATIO)
def SEResNeXt50_32x4d(**options: Unpack[SEResNeXtOptions]) -> keras.Model:
    """SE-ResNeXt-50 for images of 224 pixels: ResNeXt-50 (32x4d) with squeeze-and-excitation (Table 1)."""
    return resnext("50-32x4d", **options)


@architecture(SEResNeXtOptions, se_ratio=SE_RATIO)
def SEResNeXt101_32x4d(**options: Unpack[SEResNeXtOptions]) -> keras.Model:
    """SE-ResNeXt-101 for images of 224 pixels: ResNeXt-101 (32x4d) with squeeze-and-excitation (Table 2)."""
    return resnext("101-32x4d", **options)


@architecture(SENet154Options, se_ratio=SE_RATIO)
def SENet154(**options: Unpack[SENet154Options]) -> keras.Model:
    """SENet-154 for images of 224 pixels: 64 groups of 4 channels, a stem of three convolutions (appendix)."""
    return residual_network(SENET_154, **options)
