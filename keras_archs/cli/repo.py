"""`keras-archs repo`: the models, versions and version labels that a repository serves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig

from keras_archs.cli.output import JsonOption, write_json, write_table
from keras_archs.cli.quantization_text import quantization_facts
from keras_archs.repository import models_config
from keras_archs.repository.artifact import (
    ModelFolder,
    check_repository,
    find_version,
    find_versions,
    model_folders,
    read_card,
)
from keras_archs.repository.artifact_card import ArtifactCard

app = typer.Typer(
    help="Choose the models, versions and labels that the gateway and TensorFlow Serving serve (models.config).",
    rich_markup_mode="markdown",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the model in the repository.")]
Repository = Annotated[
    Path, typer.Option(metavar="DIR", envvar="KERAS_ARCHS_REPOSITORY", help="Folder of the model repository.")
]
ServedFrom = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Path of the repository on TensorFlow Serving's machine, if it differs."),
]
MODELS = Path("models")
_SHOWN = 5


@app.command("list")
def list_(repository: Repository = MODELS, as_json: JsonOption = False) -> None:
    """Show the published versions of each model, its policy, the served versions and their labels."""
    config = models_config.read(check_repository(repository))
    named = models_config.entries(config) if config is not None else {}
    folders = model_folders(repository)
    rows: list[dict[str, Any]] = []
    for name in sorted(folders.keys() | named.keys()):
        policy = named[name].model_version_policy if name in named else None
        folder = folders.get(_folder_name(named, name), ModelFolder())
        on_disk = list(folder.versions)
        is_served = config is None or name in named
        rows.append(
            {
                "name": name,
                "versions": on_disk,
                "policy": models_config.write_policy(policy) if policy else "all" if is_served else None,
                "served": list(models_config.served_versions(tuple(on_disk), policy)) if is_served else [],
                "labels": dict(sorted(named[name].version_labels.items())) if name in named else {},
                "problems": list(folder.problems),
            }
        )
    if as_json:
        write_json(rows)
        return
    write_table(
        ("model", "versions", "policy", "served", "labels"),
        [
            (
                row["name"],
                _listed(row["versions"]),
                row["policy"] or "not served",
                _listed(row["served"]),
                _listed(f"{label}={version}" for label, version in row["labels"].items()),
            )
            for row in rows
        ],
    )
    for row in rows:
        for problem in row["problems"]:
            typer.echo(f"{row['name']}: {problem}", err=True)


@app.command()
def show(
    name: Name,
    version: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Version to show; the newest by default.")
    ] = None,
    repository: Repository = MODELS,
    as_json: JsonOption = False,
) -> None:
    """Show the card of a published version: input, classes, weights, and how its int8 graph was made, if it has one."""
    version_dir = find_version(repository, name, version)
    card = read_card(version_dir)
    if as_json:
        write_json(card.to_json())
        return
    for title, text in [("version", version_dir.name), *_facts(card)]:
        typer.echo(f"{title:<15}{text}")


@app.command()
def label(
    name: Name,
    labels: Annotated[
        list[str], typer.Argument(metavar="LABEL=VERSION", help="Labels to set or move; LABEL= removes one.")
    ],
    repository: Repository = MODELS,
    served_from: ServedFrom = None,
) -> None:
    """Label versions, e.g. stable=1 canary=2. To roll back, move the label.

    Only a served version can have a label: TensorFlow Serving refuses the whole models.config otherwise.
    """
    changes = dict(_label(text) for text in labels)
    with models_config.edited(check_repository(repository), served_from=served_from) as config:
        on_disk = find_versions(repository, _folder_name(models_config.entries(config), name))
        entry = models_config.include(config, repository, name, served_from=served_from)
        served = models_config.served_versions(on_disk, entry.model_version_policy)
        for key, version in changes.items():
            if version is None:
                entry.version_labels.pop(key, None)
                continue
            if version not in served:
                raise models_config.ConfigError(
                    f"version {version} of {name} is not served, so it cannot be {key}; served: {_listed(served)} "
                    f"(policy {models_config.write_policy(entry.model_version_policy)})"
                )
            entry.version_labels[key] = version
    typer.echo(f"{name}: {_listed(f'{key}={version}' for key, version in sorted(entry.version_labels.items()))}")


@app.command()
def policy(
    name: Name,
    versions: Annotated[str, typer.Argument(metavar="all|latest=N|specific=N,N", help="The versions to serve.")],
    repository: Repository = MODELS,
    served_from: ServedFrom = None,
) -> None:
    """Choose the versions of a model to serve. TensorFlow Serving keeps every served version in memory."""
    chosen = models_config.read_policy(versions)
    with models_config.edited(check_repository(repository), served_from=served_from) as config:
        on_disk = find_versions(repository, _folder_name(models_config.entries(config), name))
        entry = models_config.include(config, repository, name, served_from=served_from)
        served = models_config.served_versions(on_disk, chosen)
        if not served:
            raise models_config.ConfigError(f"{versions} selects none of the versions of {name}")
        for key, version in entry.version_labels.items():
            if version not in served:
                raise models_config.ConfigError(
                    f"{versions} would not serve version {version} of {name}, which is {key}: move that label first"
                )
        entry.model_version_policy.CopyFrom(chosen)
    typer.echo(f"{name}: {models_config.write_policy(chosen)} serves {_listed(served)}")


@app.command()
def remove(name: Name, repository: Repository = MODELS) -> None:
    """Stop serving a model. Its files stay; 'keras-archs repo policy' serves it again."""
    with models_config.edited(check_repository(repository)) as config:
        if name not in models_config.entries(config):
            raise models_config.ConfigError(f"{name} is not served; served: {_listed(models_config.entries(config))}")
        remaining = [entry for entry in config.model_config_list.config if entry.name != name]
        del config.model_config_list.config[:]
        config.model_config_list.config.extend(remaining)
    typer.echo(f"{name} is no longer served")


def _facts(card: ArtifactCard) -> list[tuple[str, str]]:
    height, width = card.preprocessing.size
    weights, architecture = card.weights, card.architecture
    return [
        ("name", card.name),
        ("created", card.created),
        ("builder", str(architecture["builder"]) if architecture and "builder" in architecture else "unknown"),
        ("input", f"{height}x{width}, {'RGB' if card.preprocessing.channels > 1 else 'greyscale'}"),
        ("classes", f"{len(card.labels):,}: {_listed(label.name for label in card.labels[:_SHOWN])}{_more(card)}"),
        ("weights", weights.source if weights.trained else f"untrained: {weights.source}"),
        *([("licence", weights.licence)] if weights.licence else []),
        *(quantization_facts(card.quantization) if card.quantization else [("arithmetic", "float32, or bfloat16")]),
    ]


def _more(card: ArtifactCard) -> str:
    return ", ..." if len(card.labels) > _SHOWN else ""


def _folder_name(named: Mapping[str, ModelConfig], name: str) -> str:
    return models_config.folder_name(named[name]) if name in named else name


def _label(text: str) -> tuple[str, int | None]:
    key, equals, version = text.partition("=")
    if not equals or (version and not version.isdecimal()):
        raise models_config.ConfigError(f"labels are given as LABEL=VERSION; got {text!r}")
    return models_config.check_label(key), int(version) if version else None


def _listed(items: Iterable[object]) -> str:
    return ", ".join(map(str, items)) or "none"
