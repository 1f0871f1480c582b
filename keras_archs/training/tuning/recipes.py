"""Recipes by name: data, with the papers that they are from.

The recipes of the papers that trained on CIFAR count epochs of 50,000 images; `dataclasses.replace(recipe, epochs=...)`
shortens them, and the milestones, which are shares of the training, move along. A momentum "with Nesterov" follows the
authors' own programs, which are all made from fb.resnet.torch.
"""

from __future__ import annotations

from typing import Final

from keras_archs.training.data.augmentation import Augmentation
from keras_archs.training.tuning.recipe import Recipe

CIFAR_AUGMENTATION: Final = Augmentation(crop="padded", flip=True)
"""Padding by 4 pixels of 32, a random crop, and mirror images (He et al. 2015, section 4.2)."""

RECIPES: Final[dict[str, Recipe]] = {
    # Kornblith et al. 2018, "Do Better ImageNet Models Transfer Better?", appendix A.5: Nesterov momentum and a cosine.
    # Kumar et al. 2022: the head is fitted first, so that the first steps do not distort the features. Measured with
    # EfficientNet-Lite0 on 1,259 handwritten digits of 64 pixels, 3 epochs, test accuracy: SGD with a rate of 0.02
    # 0.983 (0.1: 0.922), AdamW with 0.002 0.944 (0.0005: 0.744); with frozen normalisation both stayed at 0.10, because
    # the activations of such images are far from the statistics of photographs.
    "fine-tune": Recipe(
        optimizer="sgd",
        learning_rate=0.02,
        epochs=10,
        batch=32,
        warmup_epochs=0.5,
        weight_decay=1e-4,
        augmentation=Augmentation(crop="resized", min_area=0.35),
    ),
    # Touvron et al. 2022, "DeiT III", and Wightman et al. 2021, "ResNet strikes back": AdamW with RandAugment, MixUp,
    # CutMix and an average of the weights; for hundreds of images per class and tens of epochs.
    "fine-tune-strong": Recipe(
        optimizer="adamw",
        learning_rate=3e-4,
        epochs=30,
        batch=32,
        warmup_epochs=2,
        weight_decay=0.05,
        clip_norm=1.0,
        label_smoothing=0.1,
        ema=0.999,
        mixed_precision=True,
        augmentation=Augmentation(crop="resized", min_area=0.2, rand_augment=0.5, mixup=0.2, cutmix=1.0, erasing=0.1),
    ),
    # He et al. 2018, "Bag of Tricks for Image Classification with Convolutional Neural Networks", sections 3 and 5, for
    # ResNet, Inception and MobileNet: 0.1 for 256 images, 5 epochs of warm-up, cosine, no decay of biases and
    # normalisations, smoothing 0.1 and MixUp 0.2; 120 epochs, and 200 with MixUp.
    "bag-of-tricks": Recipe(
        optimizer="sgd",
        learning_rate=0.1,
        epochs=200,
        batch=256,
        warmup_epochs=5,
        weight_decay=1e-4,
        label_smoothing=0.1,
        mixed_precision=True,
        augmentation=Augmentation(crop="resized", min_area=0.08, mixup=0.2),
    ),
    # He et al. 2015, section 4.2: 64,000 steps of 128 images, which are 164 epochs of 50,000; the rate falls at 32,000
    # and 48,000. The paper begins its ResNet-110 with a rate of 0.01 for about 400 steps, an epoch: here every network
    # has an epoch of linear warm-up.
    "resnet-cifar": Recipe(
        optimizer="sgd",
        learning_rate=0.1,
        epochs=164,
        batch=128,
        schedule="steps",
        warmup_epochs=1,
        milestones=(0.5, 0.75),
        nesterov=False,
        weight_decay=1e-4,
        decayed="all",
        augmentation=CIFAR_AUGMENTATION,
    ),
    # Zagoruyko and Komodakis 2016, section 3: the rate falls by 0.2 at 60, 120 and 160 of 200 epochs.
    "wide-resnet": Recipe(
        optimizer="sgd",
        learning_rate=0.1,
        epochs=200,
        batch=128,
        schedule="steps",
        warmup_epochs=0,
        milestones=(0.3, 0.6, 0.8),
        decay=0.2,
        weight_decay=5e-4,
        decayed="all",
        augmentation=CIFAR_AUGMENTATION,
    ),
    # Huang et al. 2016, "Deep Networks with Stochastic Depth", section 4: 500 epochs, the rate falls at 250 and 375.
    "stochastic-depth": Recipe(
        optimizer="sgd",
        learning_rate=0.1,
        epochs=500,
        batch=128,
        schedule="steps",
        warmup_epochs=0,
        milestones=(0.5, 0.75),
        weight_decay=1e-4,
        decayed="all",
        augmentation=CIFAR_AUGMENTATION,
    ),
    # Huang et al. 2017, "Densely Connected Convolutional Networks", section 4.2: 300 epochs of batches of 64.
    "densenet": Recipe(
        optimizer="sgd",
        learning_rate=0.1,
        epochs=300,
        batch=64,
        schedule="steps",
        warmup_epochs=0,
        milestones=(0.5, 0.75),
        weight_decay=1e-4,
        decayed="all",
        augmentation=CIFAR_AUGMENTATION,
    ),
    # Xie et al. 2017, "Aggregated Residual Transformations", section 5.3: the rate falls at 150 and 225 of 300 epochs.
    "resnext-cifar": Recipe(
        optimizer="sgd",
        learning_rate=0.1,
        epochs=300,
        batch=128,
        schedule="steps",
        warmup_epochs=0,
        milestones=(0.5, 0.75),
        weight_decay=5e-4,
        decayed="all",
        augmentation=CIFAR_AUGMENTATION,
    ),
}
