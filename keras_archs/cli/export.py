"""`keras-archs export`: publish a network of the registry in a model repository."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keras_archs.cli.output import JsonOption, working, write_json
from keras_archs.cli.quiet import import_keras
from keras_archs.registry import create_model, model_card
from keras_archs.repository.artifact import check_name, read_model_folder
from keras_archs.repository.models_config import why_not_served


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model, as 'keras-archs list' prints it.")],
    weights: Annotated[
        str | None, typer.Option(metavar="TAG|PATH", help="Weights: a tag such as 'imagenet', or a file.")
    ] = None,
    repository: Annotated[
        Path, typer.Option(metavar="DIR", envvar="KERAS_ARCHS_REPOSITORY", help="Folder of the model repository.")
    ] = Path("models"),
    name: Annotated[
        str | None, typer.Option(metavar="PUBLISHED_NAME", help="Name to publish under; the model's own by default.")
    ] = None,
    version: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Version to publish; the next free one by default.")
    ] = None,
    if_missing: Annotated[
        bool,
        typer.Option("--if-missing", help="Do nothing if the version (without --version: any version) is published."),
    ] = False,
    allow_untrained: Annotated[
        bool, typer.Option("--allow-untrained", help="Publish without trained weights; every answer will say so.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Publish a model as a new version that the gateway and TensorFlow Serving can serve."""
    card = model_card(model)
    published_as = check_name(name or card.name)
    folder = repository / published_as
    versions = read_model_folder(folder).versions
    if if_missing and (versions if version is None else version in versions):
        existing = max(versions) if version is None else version
        not_served = why_not_served(repository, published_as, existing)
        _report(versions[existing], existing, not_served, exported=False, as_json=as_json)
        return
    if weights is None and not allow_untrained:
        default = f"--weights {card.default.dataset}, " if card.default else ""
        raise ValueError(
            f"{card.name} would have no trained weights: give {default}--weights PATH or --allow-untrained"
        )
    with working(f"Publishing {published_as}"):
        import_keras()
        from keras_archs.export.publish import export_model

        exported = export_model(
            create_model(card.name, weights=weights),
            repository,
            name=published_as,
            version=version,
            allow_untrained=allow_untrained,
        )
    _report(exported.path, exported.version, exported.not_served, exported=True, as_json=as_json)


def _report(path: Path, version: int, not_served: str | None, *, exported: bool, as_json: bool) -> None:
    name = path.parent.name
    if as_json:
        served = not_served is None
        write_json({"name": name, "version": version, "path": str(path), "exported": exported, "served": served})
    else:
        typer.echo(f"{name} version {version} {'published' if exported else 'exists already'}: {path}")
    if not_served:
        typer.echo(f"version {version} of {name} is not served: {not_served}", err=True)
