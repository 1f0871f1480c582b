"""`keras-archs quantize`: publish a version that computes in int8."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from keras_archs.cli.output import JsonOption, working, write_json
from keras_archs.cli.quantization_text import quantization_facts
from keras_archs.repository.artifact import find_version, read_card
from keras_archs.repository.checksums import verify
from keras_archs.repository.models_config import why_not_served
from keras_archs.repository.quantization import Quantization
from keras_archs.training.data.class_names import Naming
from keras_archs.training.data.image_folder import label_images, read_images


def quantize(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the model in --repository.")],
    calibration: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Folder of at least 200 pictures of the kind that the model will see; no labels needed."
        ),
    ],
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER|CSV",
            help="Pictures with known classes, as for 'evaluate', to measure and to control the accuracy.",
        ),
    ] = None,
    names: Annotated[
        Naming | None,
        typer.Option(help="What the names of --labels' folders or its table's labels are; by default any of them."),
    ] = None,
    max_drop: Annotated[
        float, typer.Option(min=0.01, max=100, metavar="POINTS", help="Accuracy that may be lost, in points.")
    ] = 0.5,
    allow_drop: Annotated[
        bool, typer.Option("--allow-drop", help="Publish also if more is lost; the version's card says how much.")
    ] = False,
    repository: Annotated[
        Path, typer.Option(metavar="DIR", envvar="KERAS_ARCHS_REPOSITORY", help="Folder of the model repository.")
    ] = Path("models"),
    version: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Version to quantize; the newest by default.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Publish a new version of a model that OpenVINO computes in int8: at least twice as fast as in float32.

    The new version has the float32 graph, too, with which TensorFlow and TensorFlow Serving answer. Its card says what
    int8 was calibrated on, and how its answers differ from float32.
    """
    if names and not labels:
        raise ValueError(f"--names {names} says what the names of --labels are: give --labels as well")
    version_dir = find_version(repository, name, version)
    card = read_card(version_dir)
    verify(version_dir, card)
    named = read_images(labels) if labels else None
    known = label_images(named, card.labels, names) if named else None
    _check_installed()
    from keras_archs.quantization.candidate import LossError, make_candidate
    from keras_archs.quantization.pictures import divide, read_pictures

    with working(f"Reading the pictures of {calibration}"):
        pictures = read_pictures(calibration, card.preprocessing)
        labelled = divide(known, pictures.calibration_digests, card.preprocessing, max_drop) if known else None
    with (
        working(f"Quantizing {name} version {version_dir.name}"),
        make_candidate(version_dir, card, pictures, labelled, max_drop) as candidate,
    ):
        try:
            candidate.check(100 if allow_drop else max_drop)
        except LossError as error:
            measured = "" if labels else "--labels to measure it, "
            raise ValueError(
                f"{error}. Nothing was published: give {measured}other pictures to calibrate with, a larger "
                "--max-drop, or --allow-drop to publish the version all the same"
            ) from error
        published = candidate.publish()
    _report(repository, name, published, candidate.quantization, as_json=as_json)
    left_out = pictures.repeated + (labelled.left_out if labelled else 0)
    if left_out:
        _note(f"pictures that were left out, because they are repeated or calibrate already: {left_out:,}")
    unreadable = dict.fromkeys(pictures.unreadable + (labelled.unreadable if labelled else ()))
    if unreadable:
        first = typer.format_filename(next(iter(unreadable)))
        _note(f"files that could not be read as an image: {len(unreadable):,}; the first: {first}")


def _check_installed() -> None:
    for library in ("nncf", "openvino"):
        if find_spec(library) is None:
            raise ValueError(f"quantizing needs {library}, which is not installed: pip install 'keras-archs[quantize]'")


def _report(repository: Path, name: str, version: int, quantization: Quantization, *, as_json: bool) -> None:
    not_served = why_not_served(repository, name, version)
    path = repository / name / str(version)
    if as_json:
        document = {"name": name, "version": version, "path": str(path), "served": not_served is None}
        write_json(document | {"quantization": quantization.to_json()})
    else:
        typer.echo(f"{name} version {version} published: {path}")
        for title, text in quantization_facts(quantization):
            typer.echo(f"{title:<15}{text}")
    if not_served:
        typer.echo(f"version {version} of {name} is not served: {not_served}", err=True)


def _note(text: str) -> None:
    typer.echo(f"note: {text}", err=True)
