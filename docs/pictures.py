"""Draw the committed pictures, and count the table of growth: python -m docs.pictures."""

import csv
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from skimage import data

import keras_archs
from docs.tools.tables import GROWTH, count_growth
from keras_archs.registry import SCALABLE

HERE = Path(__file__).parent
COMPARED = (
    "bn-inception",
    "densenet-[12]??",
    "efficientnet-b*",
    "efficientnet-v2-*",
    "mobilenet-*-224",
    "mobilenet-v2-*",
    "mobilenet-v3-*-1.0",
    "resnet-18",
    "resnet-34",
    "resnet-50",
    "resnet-101",
    "resnet-152",
    "resnext-*x?d",
    "se-resnet-*",
    "se-resnext-*",
    "senet-154",
    "wide-resnet-*-2",
)


def activation_maps() -> Image.Image:
    """Draw the class activation maps of EfficientNet-Lite0 on two photographs of scikit-image."""
    name = "efficientnet-lite0"
    card, model = keras_archs.model_card(name), keras_archs.create_model(name, weights="imagenet")
    size = card.preprocessing.size
    images = np.stack([_centre(photograph, size) for photograph in (data.coffee(), data.chelsea())])
    maps, _ = keras_archs.class_activation_map(model, card.preprocessing.normalize(images))
    pairs = ((image, keras_archs.overlay(image, heat)) for image, heat in zip(images, maps, strict=True))
    tiles = [tile for pair in pairs for tile in pair]
    return Image.fromarray(np.concatenate([np.asarray(tile) for tile in tiles], axis=1))


def _centre(photograph: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    height, width, _ = photograph.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = Image.fromarray(photograph[top : top + side, left : left + side])
    return np.asarray(square.resize(size[::-1], Image.Resampling.BICUBIC))


def growth() -> Figure:
    """Plot how the family of each baseline of compound scaling grows, beside 2^phi."""
    return keras_archs.plot_growth(
        {name: keras_archs.members(keras_archs.scalable(name), range(8)) for name in SCALABLE}
    )


def main() -> None:
    """Write the pictures and the table."""
    activation_maps().save(HERE / "activation_maps.png", optimize=True)
    names = [name for pattern in COMPARED for name in keras_archs.list_models(pattern)]
    cards = [card for name in names if (card := keras_archs.model_card(name)).preprocessing.size > (32, 32)]
    keras_archs.plot_comparison(cards).savefig(HERE / "compare.png")
    growth().savefig(HERE / "growth.png")
    rows = [count_growth(name) for name in SCALABLE]
    with GROWTH.open("w", encoding="utf-8", newline="") as table:
        writer = csv.DictWriter(table, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
