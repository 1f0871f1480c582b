"""`keras-archs classify`: what is in these pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from keras_archs.cli.output import JsonOption, working, write_json, write_table
from keras_archs.cli.startup import import_keras
from keras_archs.images.labels import ClassScore, best_classes, imagenet_labels
from keras_archs.images.preprocessing import ImageError, load_image
from keras_archs.registry import create_model, model_card

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from keras_archs.images.preprocessing import Preprocessing


def classify(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="JPEG, PNG, WebP, BMP or GIF files.")],
    model: Annotated[
        str, typer.Option(metavar="NAME", help="The model; `keras-archs list` prints the names.")
    ] = "efficientnet-lite0",
    weights: Annotated[
        str, typer.Option(metavar="TAG|PATH", help="Weights with ImageNet's classes: a tag or a file.")
    ] = "imagenet",
    top_k: Annotated[int, typer.Option(min=1, max=1000, help="Classes to show for each image.")] = 5,
    as_json: JsonOption = False,
) -> None:
    """Classify images with a model of ImageNet's classes, without a server."""
    preprocessing = model_card(model).preprocessing
    # The images first: a file that cannot be read should not cost the seconds that Keras takes to start.
    pixels = np.stack([_load(image, preprocessing) for image in images])
    with working(f"Classifying with {model}"):
        import_keras()
        network = create_model(model, weights=weights)
        if (classes := network.output_shape[-1]) != len(imagenet_labels()):
            raise ValueError(
                f"classify names ImageNet's {len(imagenet_labels())} classes, but {model} has {classes}: "
                "export it with labels of its own, and serve it"
            )
        probabilities = network.predict(preprocessing.normalize(pixels), verbose=0)
    predictions = [best_classes(scores, imagenet_labels(), top_k) for scores in probabilities]
    if as_json:
        results = [
            {"image": image, "predictions": [asdict(one) for one in best]}
            for image, best in zip(images, predictions, strict=True)
        ]
        write_json({"model": model, "weights": weights, "images": results})
        return
    for image, best in zip(images, predictions, strict=True):
        _write_text(image if len(images) > 1 else None, best)


def _load(image: str, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    try:
        return load_image(image, preprocessing)
    except ImageError as error:
        raise ImageError(f"{image}: {error}") from error


def _write_text(heading: str | None, best: Sequence[ClassScore]) -> None:
    if heading is not None:
        typer.echo(typer.format_filename(heading))
    write_table(
        ["score", "label", "WordNet id", "index"],
        [[f"{one.score:.1%}", one.label, one.wordnet_id or "", str(one.index)] for one in best],
        right=["score", "index"],
    )
    if heading is not None:
        typer.echo()
