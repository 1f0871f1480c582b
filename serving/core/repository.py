"""The models and versions that a repository serves.

As in TensorFlow Serving, `models.config` names the models to serve, with their version policies and labels. Without the
file every model is served in all its versions, and the newest answers by default.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from keras_archs.registry import list_models
from keras_archs.repository import artifact, models_config
from serving.core.errors import LabelNotFoundError, ModelNotFoundError, VersionNotFoundError


class RepositoryError(ValueError):
    """The repository folder does not exist, or its models.config cannot be read."""


@dataclass(frozen=True)
class ModelSpec:
    """The model that a request selects, by version, by label, or by neither: then the newest version answers."""

    name: str
    version: int | None = None
    label: str | None = None

    @property
    def selects_newest(self) -> bool:
        """Whether neither a version nor a label is given."""
        return self.version is None and self.label is None


@dataclass(frozen=True)
class ModelEntry:
    """One served model of the repository.

    Attributes:
        name: Name of the model and of its folder.
        versions: Served versions, ascending, never empty.
        labels: Version labels, e.g. {"stable": 1, "canary": 2}.
    """

    name: str
    versions: tuple[int, ...]
    labels: Mapping[str, int] = field(default_factory=dict)

    def candidates(self, spec: ModelSpec) -> tuple[int, ...]:
        """Return the versions that may answer `spec`, in order of preference.

        Raises:
            VersionNotFoundError: The given version is not served.
            LabelNotFoundError: The given label does not exist, or its version is not served.
        """
        if spec.label is not None:
            labelled = self.labels.get(spec.label)
            if labelled is None or labelled not in self.versions:
                labels = ", ".join(sorted(self.labels)) or "none"
                raise LabelNotFoundError(f"{self.name} has no version labelled {spec.label!r}; labels: {labels}")
            return (labelled,)
        if spec.version is not None:
            if spec.version not in self.versions:
                versions = ", ".join(map(str, self.versions))
                raise VersionNotFoundError(f"{self.name} has no version {spec.version}; versions: {versions}")
            return (spec.version,)
        return self.versions[::-1]

    def labels_of(self, version: int) -> tuple[str, ...]:
        """Return the labels of a version, in alphabetical order."""
        return tuple(sorted(label for label, labelled in self.labels.items() if labelled == version))


def model_not_found(name: str, published: Collection[str]) -> ModelNotFoundError:
    """Return the error for a name that is not published, with a hint: the export command, or similar names."""
    registered = list_models()
    if name in registered:
        hint = f"; publish it with `keras-archs export {name}`"
    else:
        close = difflib.get_close_matches(name[:128], [*published, *registered], n=3)
        hint = f"; did you mean {' or '.join(dict.fromkeys(close))}?" if close else ""
    return ModelNotFoundError(f"no model {name[:128]!r} is published here{hint}")


def scan(repository: Path, *, default_policy: models_config.VersionPolicy | None = None) -> dict[str, ModelEntry]:
    """Return the models of the repository that have a version to serve, by name.

    Args:
        repository: Folder of the model repository.
        default_policy: Version policy for all models if there is no models.config; None serves all versions.

    Raises:
        RepositoryError: The folder does not exist, or its models.config cannot be read.
    """
    if not repository.is_dir():
        raise RepositoryError("there is no model repository at the configured path")
    try:
        config = models_config.read(repository)
    except models_config.ConfigError as error:
        raise RepositoryError(str(error)) from error
    configured = models_config.entries(config) if config is not None else None
    entries = {}
    for name, on_disk in artifact.published_models(repository).items():
        if configured is not None and name not in configured:
            continue
        policy = configured[name].model_version_policy if configured is not None else default_policy
        labels = dict(configured[name].version_labels) if configured is not None else {}
        if versions := models_config.served_versions(tuple(on_disk), policy):
            entries[name] = ModelEntry(name, versions, labels)
    return entries
