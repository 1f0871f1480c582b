"""`keras-archs classify`: classes of images, on this machine or by a gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
import typer

from keras_archs.cli.model_option import ModelOption
from keras_archs.cli.output import JsonOption, working, write_json, write_table
from keras_archs.cli.quiet import import_keras, quiet_tensorflow
from keras_archs.cli.server_options import KeyOption
from keras_archs.images.decoding import load_image
from keras_archs.images.errors import ImageError
from keras_archs.images.labels import ClassScore, Label, best_classes, imagenet_labels
from keras_archs.registry import create_model, model_card
from keras_archs.repository.artifact import CONVERSION_CACHE, find_version, read_card
from keras_archs.runtimes.loading import predict
from keras_archs.runtimes.local import installed_runtime, load_version

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from keras_archs.images.preprocessing import Preprocessing


_TOP_K = 5


class _Answer(NamedTuple):
    images: list[Sequence[ClassScore]]
    """Best classes of each image."""
    source: dict[str, Any]
    """Model, weights and, unless Keras answered, version and arithmetic: the first entries of the JSON document."""


def classify(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE", help="JPEG, PNG, WebP, BMP or GIF files.")],
    model: ModelOption = "efficientnet-lite0",
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="TAG|PATH", show_default="imagenet", help="Weights with ImageNet's classes: a tag or a file."
        ),
    ] = None,
    # no environment variable: KERAS_ARCHS_REPOSITORY, set for `serve`, must not change the answers of `classify`
    repository: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Classify with a model published in this folder, with its own labels."),
    ] = None,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="Ask a running gateway, such as http://127.0.0.1:8000.")
    ] = None,
    key: KeyOption = None,
    version: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Version in --repository or at --url; the newest by default.")
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(min=1, max=1000, show_default=str(_TOP_K), help="Number of classes to show for each image."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Classify images on this machine or, with --url, by a running gateway.

    Without --repository and --url, Keras runs a model with ImageNet's classes. With --repository, a published version
    runs on OpenVINO, or on TensorFlow if OpenVINO is not installed; this starts faster and knows the labels of your own
    model.
    """
    if url is not None and repository is not None:
        raise ValueError("--url asks a gateway, --repository runs the model here: give one of them")
    if weights is not None and (url is not None or repository is not None):
        place = "--repository" if repository else "--url"
        raise ValueError(f"--weights does not go with {place}: a published version has weights of its own")
    if url is not None:
        answer = _classify_at_gateway(images, url, key, model, version, top_k)
    elif repository is not None:
        answer = _classify_with_repository(images, repository, model, version, top_k or _TOP_K)
    elif version is not None:
        raise ValueError("--version is the version of a published model: give --repository DIR or --url URL as well")
    else:
        answer = _classify_with_keras(images, model, weights or "imagenet", top_k or _TOP_K)
    if as_json:
        documents = [
            {"image": image, "predictions": [asdict(score) for score in best]}
            for image, best in zip(images, answer.images, strict=True)
        ]
        write_json({**answer.source, "images": documents})
        return
    for image, best in zip(images, answer.images, strict=True):
        _write_text(image if len(images) > 1 else None, best)


def _classify_at_gateway(
    images: Sequence[str], url: str, key: str | None, model: str, version: int | None, top_k: int | None
) -> _Answer:
    from keras_archs.client import AsyncClient, Classification  # needs the extra `client`

    async def ask() -> list[Classification]:
        async with AsyncClient(url, key=key) as client:
            chosen, limit = version, top_k
            if chosen is None:  # the same version for all images of a large batch
                details = await client.model(model)
                chosen, limit = details.version, limit and min(limit, len(details.labels))
            return await client.classify(images, model, version=chosen, top_k=limit)

    with working(f"Asking {url}"):
        answers = asyncio.run(ask())  # Ctrl-C ends asyncio's requests at once, but not those of threads
    first = answers[0]
    arithmetics = sorted({answer.arithmetic for answer in answers if answer.arithmetic})
    _note_untrained(model, first.version, is_trained=first.trained)
    source = {
        "model": model,
        "version": first.version,
        "weights": first.weights,
        "trained": first.trained,
        "multi_label": first.multi_label,
        # gateways behind one address may have different processors
        "arithmetic": ", ".join(arithmetics) or None,
    }
    return _Answer([answer.scores for answer in answers], source)


def _classify_with_keras(images: Sequence[str], model: str, weights: str, top_k: int) -> _Answer:
    preprocessing = model_card(model).preprocessing
    pixels = _load(images, preprocessing)
    with working(f"Classifying with {model}"):
        import_keras()
        network = create_model(model, weights=weights)
        if (classes := network.output_shape[-1]) != len(imagenet_labels()):
            raise ValueError(
                f"without --repository, classify has labels only for ImageNet's {len(imagenet_labels())} classes, but "
                f"{model} has {classes}: publish it with its labels (keras_archs.export_model), then give "
                "--repository DIR"
            )
        probabilities = network.predict(preprocessing.normalize(pixels), verbose=0)
    return _Answer(_best(probabilities, imagenet_labels(), top_k), {"model": model, "weights": weights})


def _classify_with_repository(
    images: Sequence[str], repository: Path, model: str, version: int | None, top_k: int
) -> _Answer:
    version_dir = find_version(repository, model, version)
    card = read_card(version_dir)
    pixels = _load(images, card.preprocessing)
    with working(f"Classifying with {model} version {version_dir.name}"):
        with quiet_tensorflow():
            runtime = installed_runtime(cache_dir=repository / CONVERSION_CACHE)
        session = load_version(runtime, version_dir, card)
        probabilities = predict(session, pixels)
    _note_untrained(model, int(version_dir.name), is_trained=card.weights.trained)
    source = {
        "model": model,
        "version": int(version_dir.name),
        "weights": card.weights.source,
        "trained": card.weights.trained,
        "multi_label": card.multi_label,
        "arithmetic": session.arithmetic,
    }
    return _Answer(_best(probabilities, card.labels, top_k), source)


def _best(probabilities: NDArray[np.float32], labels: Sequence[Label], top_k: int) -> list[Sequence[ClassScore]]:
    return [best_classes(scores, labels, top_k) for scores in probabilities]


def _note_untrained(model: str, version: int, *, is_trained: bool) -> None:
    if not is_trained:
        typer.echo(f"note: {model} version {version} has untrained weights: its scores mean nothing", err=True)


def _load(images: Sequence[str], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Load the images: before Keras or a runtime starts, which takes seconds, so that a bad file is refused at once."""
    return np.stack([_load_one(image, preprocessing) for image in images])


def _load_one(image: str, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    try:
        return load_image(image, preprocessing)
    except ImageError as error:
        raise ImageError(f"{image}: {error}") from error


def _write_text(heading: str | None, best: Sequence[ClassScore]) -> None:
    if heading is not None:
        typer.echo(typer.format_filename(heading))
    write_table(
        ["score", "label", "WordNet id", "index"],
        [[f"{score.score:.1%}", score.label, score.wordnet_id or "", str(score.index)] for score in best],
        right=["score", "index"],
    )
    if heading is not None:
        typer.echo()
