"""What is on disk, and which of it `models.config` has served: as with TensorFlow Serving, only what the file names.

Without that file every model is served: any version may be asked for, the newest answers by default.
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
    """The repository's folder or its models.config cannot be used."""


@dataclass(frozen=True)
class ModelSpec:
    """What a request asks for: a model, and a version, a label or neither (the newest)."""

    name: str
    version: int | None = None
    label: str | None = None

    @property
    def is_newest(self) -> bool:
        """Whether neither a version nor a label is asked for."""
        return self.version is None and self.label is None


@dataclass(frozen=True)
class ModelEntry:
    """One model of the repository.

    Attributes:
        name: Its folder's name.
        versions: Versions to serve, ascending, never empty.
        labels: Version labels, e.g. {"stable": 1, "canary": 2}.
    """

    name: str
    versions: tuple[int, ...]
    labels: Mapping[str, int] = field(default_factory=dict)

    def candidates(self, spec: ModelSpec) -> tuple[int, ...]:
        """Versions that may answer `spec`, best first.

        Raises:
            VersionNotFoundError: The version asked for is not served.
            LabelNotFoundError: The label asked for does not exist, or its version is not served.
        """
        if spec.label is not None:
            labelled = self.labels.get(spec.label)
            if labelled is None or labelled not in self.versions:
                known = ", ".join(sorted(self.labels)) or "none"
                raise LabelNotFoundError(f"{self.name} has no version labelled {spec.label!r}; labels: {known}")
            return (labelled,)
        if spec.version is not None:
            if spec.version not in self.versions:
                known = ", ".join(map(str, self.versions))
                raise VersionNotFoundError(f"{self.name} has no version {spec.version}; versions: {known}")
            return (spec.version,)
        return self.versions[::-1]

    def labels_of(self, version: int) -> tuple[str, ...]:
        """The labels of a version, in alphabetical order."""
        return tuple(sorted(label for label, labelled in self.labels.items() if labelled == version))


def unknown_model(name: str, published: Collection[str]) -> ModelNotFoundError:
    """The error for a name that is not published, with what may have been meant."""
    known = list_models()
    if name in known:
        hint = f"; publish it with `keras-archs export {name}`"
    else:
        close = difflib.get_close_matches(name[:128], [*published, *known], n=3)
        hint = f"; did you mean {' or '.join(dict.fromkeys(close))}?" if close else ""
    return ModelNotFoundError(f"no model {name[:128]!r} is published here{hint}")


def scan(repository: Path, *, unconfigured: models_config.VersionPolicy | None = None) -> dict[str, ModelEntry]:
    """The models of the repository that have a version to serve, by name.

    Args:
        repository: The folder.
        unconfigured: The policy for all models if there is no models.config; None for all versions.

    Raises:
        RepositoryError: There is no such folder, or its models.config cannot be read.
    """
    if not repository.is_dir():
        raise RepositoryError("there is no model repository at the configured path")
    try:
        config = models_config.read(repository)
    except models_config.ConfigError as error:
        raise RepositoryError(str(error)) from error
    named = models_config.entries(config) if config is not None else None
    entries = {}
    for name, on_disk in artifact.published_models(repository).items():
        if named is not None and name not in named:
            continue
        policy = named[name].model_version_policy if named is not None else unconfigured
        labels = dict(named[name].version_labels) if named is not None else {}
        if versions := models_config.served_versions(tuple(on_disk), policy):
            entries[name] = ModelEntry(name, versions, labels)
    return entries
