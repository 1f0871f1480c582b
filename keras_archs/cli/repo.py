"""`keras-archs repo`: what a model repository serves, in which versions and under which labels."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from keras_archs.cli.output import JsonOption, write_json, write_table
from keras_archs.repository import models_config
from keras_archs.repository.artifact import published_models

app = typer.Typer(help="Manage what a repository serves: models.config, for the gateway and TensorFlow Serving alike.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="A model's name in the repository.")]
Repository = Annotated[
    Path, typer.Option(metavar="DIR", envvar="KERAS_ARCHS_REPOSITORY", help="Folder of the model repository.")
]
ServedFrom = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="The repository as TensorFlow Serving sees it, if its paths differ from yours."),
]
MODELS = Path("models")


@app.command("list")
def list_(repository: Repository = MODELS, as_json: JsonOption = False) -> None:
    """Show each model's versions on disk, its policy, the versions served and their labels."""
    config = models_config.read(_existing(repository))
    named = models_config.entries(config) if config is not None else {}
    published = published_models(repository)
    rows: list[dict[str, Any]] = []
    for name in sorted(published.keys() | named.keys()):
        policy = named[name].model_version_policy if name in named else None
        on_disk = published.get(name, [])
        is_served = config is None or name in named
        rows.append(
            {
                "name": name,
                "versions": on_disk,
                "policy": models_config.write_policy(policy) if policy else "all" if is_served else None,
                "served": list(models_config.served_versions(tuple(on_disk), policy)) if is_served else [],
                "labels": dict(sorted(named[name].version_labels.items())) if name in named else {},
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


@app.command()
def label(
    name: Name,
    labels: Annotated[
        list[str], typer.Argument(metavar="LABEL=VERSION...", help="Labels to give or move; LABEL= takes one away.")
    ],
    repository: Repository = MODELS,
    served_from: ServedFrom = None,
) -> None:
    """Give labels such as stable and canary to versions, or move them: rolling back is moving a label.

    A version must be served before it gets a label; TensorFlow Serving refuses the whole file otherwise.
    """
    changes = dict(_label(text) for text in labels)
    with models_config.edited(_existing(repository), served_from=served_from) as config:
        on_disk = _published(repository, name)
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
    """Choose the versions of a model to serve. TensorFlow Serving holds them all in memory."""
    chosen = models_config.read_policy(versions)
    with models_config.edited(_existing(repository), served_from=served_from) as config:
        on_disk = _published(repository, name)
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
    """Stop serving a model. Its files stay, and `policy` serves it again."""
    with models_config.edited(_existing(repository)) as config:
        if name not in models_config.entries(config):
            raise models_config.ConfigError(f"{name} is not served; served: {_listed(models_config.entries(config))}")
        kept = [entry for entry in config.model_config_list.config if entry.name != name]
        del config.model_config_list.config[:]
        config.model_config_list.config.extend(kept)
    typer.echo(f"{name} is not served any more")


def _existing(repository: Path) -> Path:
    if not repository.is_dir():
        raise ValueError(f"there is no model repository at {repository}; `keras-archs export` makes one")
    return repository


def _published(repository: Path, name: str) -> tuple[int, ...]:
    published = published_models(repository)
    if name not in published:
        raise ValueError(f"no model {name!r} is published in {repository}; published: {_listed(published)}")
    return tuple(published[name])


def _label(text: str) -> tuple[str, int | None]:
    key, equals, version = text.partition("=")
    if not equals or (version and not version.isdecimal()):
        raise models_config.ConfigError(f"labels are given as LABEL=VERSION; got {text!r}")
    return models_config.check_label(key), int(version) if version else None


def _listed(items: Iterable[object]) -> str:
    return ", ".join(map(str, items)) or "none"
