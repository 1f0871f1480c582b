"""Images come to a network as they came to it when its published accuracy was measured.

The sources resize an image to whole pixels, round it to 8 bits, and cut out the centre at whole pixels. This package
crops and resizes in a single step. Where the source's numbers are even, the pixels are equal; elsewhere its crop is up
to half a pixel off the centre, and up to a pixel larger or smaller.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from keras_archs.cards.published_weights import entries
from keras_archs.cards.weights_entry import WeightsEntry
from keras_archs.images.decoding import load_image
from keras_archs.images.preprocessing import Preprocessing
from keras_archs.registry import list_models
from tests.support.pictures import encode
from tests.support.references_torch import reference_name

# After the module above, which makes them importable.
import timm  # isort: skip
import torchvision  # isort: skip
from torchvision import transforms  # isort: skip

# Keras publishes a normalisation only (tests/weights/test_published_keras.py), Google the code that this package's
# geometry is from.
WITHOUT_A_TRANSFORM = {"keras", "google", "pypi"}
PHOTOGRAPHS = ("coffee", "chelsea", "camera")

# Mean differences of a photograph, in units of 1/255. Equal geometry: 0, or 0.8 where the source rounds the longer
# side. Otherwise half a pixel of an image with fine texture: 6.2 at most.
EQUAL_GEOMETRY, ROUNDED_GEOMETRY = 1.5, 7.0


@dataclass(frozen=True)
class Source:
    """The evaluation transform of a source."""

    transform: Callable[[Image.Image], torch.Tensor]
    resize: int
    """Length in pixels to which it resizes the shorter side."""
    size: int
    """Side of the square that it cuts out."""
    interpolation: str | None
    """None if it does not resize."""
    mean: tuple[float, ...]
    """On the scale 0 to 255."""
    std: tuple[float, ...]
    squash: bool = False
    """Whether it resizes both sides, whatever the image's shape."""

    def equal_geometry(self, image: Image.Image) -> bool:
        """Return whether the source's crop of an image has its centre where the image has."""
        sides = [side * self.resize // min(image.size) for side in image.size]
        return all((side - self.size) % 2 == 0 for side in sides)


def source_of(entry: WeightsEntry) -> str:
    return entry.tag.partition("/")[0]


ENTRIES = [entry for network in list_models() for entry in entries(network)]


def transform_of(entry: WeightsEntry) -> Source:
    """Return the source's own evaluation transform; for sources outside of packages, as their code describes it."""
    network = entry.network.removeprefix("stochastic-depth-")
    match source_of(entry):
        case "torchvision":
            weights = torchvision.models.get_model_weights(reference_name("torchvision", network))
            return _of_preset(weights[entry.tag.partition("/")[2]].transforms())
        case "timm":
            tag = entry.tag.partition("/")[2].removeprefix("legacy_")
            published = timm.get_pretrained_cfg(f"{reference_name('timm', network, entry.arguments)}.{tag}")
            config = timm.data.resolve_data_config(pretrained_cfg=published.to_dict())
            return _of_steps(timm.data.create_transform(**config).transforms)
        case "pytorchcv" if entry.dataset == "imagenet":
            return _of_steps(evaluation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)))
        case "pytorchcv":
            return _of_steps(evaluation(mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010), resize=False))
        case "akamaster":
            return _of_steps(evaluation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), resize=False))
        case "cadene":  # in the order blue, green, red, which loading turns around, on the scale 0 to 255
            mean = (128 / 255, 117 / 255, 104 / 255)
            return _of_steps(evaluation(mean=mean, std=(1 / 255, 1 / 255, 1 / 255)))
    raise ValueError(f"no transform is known for {entry.tag}")


def evaluation(*, mean: tuple[float, ...], std: tuple[float, ...], resize: bool = True) -> list[Any]:
    """Return the steps in which ImageNet's (224 pixels) or CIFAR's (32 pixels) images are evaluated."""
    bilinear = transforms.InterpolationMode.BILINEAR
    crop = [transforms.Resize(math.ceil(224 / 0.875), bilinear), transforms.CenterCrop(224)] if resize else []
    return [*crop, transforms.ToTensor(), transforms.Normalize(mean, std)]


def _of_preset(preset: Any) -> Source:
    (resize,), (size,), interpolation = preset.resize_size, preset.crop_size, preset.interpolation.value
    return Source(preset, resize, size, interpolation, _scaled(preset.mean), _scaled(preset.std))


def _of_steps(steps: list[Any]) -> Source:
    kinds = {type(step).__name__: step for step in steps}
    transform, (mean, std) = transforms.Compose(steps), (kinds["Normalize"].mean, kinds["Normalize"].std)
    if "Resize" not in kinds:
        return Source(transform, 32, 32, None, _scaled(mean), _scaled(std))
    resize, size = kinds["Resize"], _square(kinds["CenterCrop"].size)
    squash = isinstance(resize.size, tuple | list) and len(resize.size) == 2
    return Source(
        transform, _square(resize.size), size, resize.interpolation.value, _scaled(mean), _scaled(std), squash
    )


def _square(size: Any) -> int:
    sides = {size} if isinstance(size, int) else set(size)
    (side,) = sides
    return int(side)


def _scaled(values: Any) -> tuple[float, ...]:
    return tuple(255 * float(value) for value in values)


def test_size_crop_filter_and_normalisation_are_the_sources() -> None:
    compared = [entry for entry in ENTRIES if source_of(entry) not in WITHOUT_A_TRANSFORM]
    assert len(compared) > 200
    assert {f"{entry.network} {entry.tag}": wrong for entry in compared if (wrong := deviations(entry))} == {}


def deviations(entry: WeightsEntry) -> list[str]:
    """Return what differs between an entry and the source's transform."""
    ours, theirs = entry.preprocessing, transform_of(entry)
    agree = {
        "size": ours.size == (theirs.size, theirs.size),
        "crop": abs(theirs.size / ours.crop_fraction - theirs.resize) < 1,  # to whole pixels
        "filter": theirs.interpolation in {ours.interpolation, None},
        "mean": np.allclose(ours.mean, theirs.mean, rtol=1e-6),
        "std": np.allclose(ours.std, theirs.std, rtol=1e-6),
    }
    return [f"{name}: {ours}, not {theirs}" for name, equal in agree.items() if not equal]


@cache
def photograph(name: str, size: tuple[int, int] | None = None) -> tuple[Image.Image, bytes]:
    """Return a photograph, resized if a size is given, with its file."""
    image = Image.fromarray(getattr(data, name)()).convert("RGB")
    image = image.resize(size) if size else image
    return image, encode(image, "PNG")


def photographs(theirs: Source) -> list[tuple[Image.Image, bytes]]:
    images = [photograph(name, (32, 32) if theirs.interpolation is None else None) for name in PHOTOGRAPHS]
    # This package keeps the shape of objects: it agrees with a source that squashes images on squares only.
    return [(image, file) for image, file in images if image.width == image.height or not theirs.squash]


def differences(ours: Preprocessing, theirs: Source, image: Image.Image, file: bytes) -> NDArray[np.float64]:
    """Return the absolute differences of each pixel and channel, in units of 1/255."""
    pixels = ours.normalize(load_image(file, ours))
    expected = theirs.transform(image).numpy().transpose(1, 2, 0)
    return np.asarray(np.abs(pixels - expected) * np.asarray(ours.std), np.float64)


SOURCES = sorted({source_of(entry) for entry in ENTRIES} - WITHOUT_A_TRANSFORM)


@pytest.mark.parametrize("source", SOURCES)
def test_pixels_are_those_of_the_sources_transform(source: str) -> None:
    """For each distinct preprocessing of the source's entries."""
    distinct = {entry.preprocessing: entry for entry in ENTRIES if source_of(entry) == source}
    for ours, entry in distinct.items():
        theirs = transform_of(entry)
        for image, file in photographs(theirs):
            difference = differences(ours, theirs, image, file)
            equal = theirs.equal_geometry(image) and abs(theirs.size / ours.crop_fraction - theirs.resize) < 0.2
            assert difference.mean() < (EQUAL_GEOMETRY if equal else ROUNDED_GEOMETRY), (entry, image.size)


RESNET = next(entry for entry in entries("resnet-50") if entry.tag == "torchvision/IMAGENET1K_V1")


@pytest.mark.parametrize("resize", [254, 258])
def test_a_crop_that_is_wrong_by_two_pixels_changes_pixels(resize: int) -> None:
    wrong, theirs = replace(RESNET.preprocessing, crop_fraction=224 / resize), transform_of(RESNET)
    for image, file in photographs(theirs):
        assert differences(wrong, theirs, image, file).mean() > 1.4 * EQUAL_GEOMETRY


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("size", (225, 225)),
        ("crop_fraction", 224 / 257),
        ("interpolation", "bicubic"),
        ("mean", (124.0, 116.28, 103.53)),
        ("std", (58.0, 57.12, 57.375)),
    ],
)
def test_a_wrong_entry_would_be_noticed(what: str, value: Any) -> None:
    wrong = replace(RESNET, preprocessing=replace(RESNET.preprocessing, **{what: value}))
    assert deviations(RESNET) == []
    assert deviations(wrong)
