"""What is on disk: models, versions and `models.config`; and which versions should be served, as pure functions.

`models.config` is TensorFlow Serving's own text-format ModelServerConfig. A model that it does not name is served by
the default policy: any version may be asked for, the newest answers by default.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from google.protobuf import text_format

# these schema modules, unlike tensorflow_serving.apis, do not import TensorFlow
from tensorflow_serving.config import model_server_config_pb2
from tensorflow_serving.config.file_system_storage_path_source_pb2 import FileSystemStoragePathSourceConfig

from keras_archs import artifact
from keras_archs.registry import list_models
from serving.errors import LabelNotFoundError, ModelNotFoundError, VersionNotFoundError

CONFIG = "models.config"
VersionPolicy: TypeAlias = FileSystemStoragePathSourceConfig.ServableVersionPolicy


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


def unknown_model(name: str, published: Collection[str]) -> ModelNotFoundError:
    """The error for a name that is not published, with what may have been meant."""
    known = list_models()
    if name in known:
        hint = f"; publish it with `keras-archs export {name}`"
    else:
        close = difflib.get_close_matches(name[:128], [*published, *known], n=3)
        hint = f"; did you mean {' or '.join(dict.fromkeys(close))}?" if close else ""
    return ModelNotFoundError(f"no model {name[:128]!r} is published here{hint}")


def served_versions(on_disk: tuple[int, ...], policy: VersionPolicy | None) -> tuple[int, ...]:
    """The versions of `on_disk` (ascending) that `policy` selects; all of them without a policy."""
    if policy is None:
        return on_disk
    match policy.WhichOneof("policy_choice"):
        case "specific":
            return tuple(version for version in on_disk if version in policy.specific.versions)
        case "all":
            return on_disk
        case _:  # TensorFlow Serving's default is latest { num_versions: 1 }
            return on_disk[-(policy.latest.num_versions or 1) :]


def read_config(repository: Path) -> dict[str, model_server_config_pb2.ModelConfig]:
    """The models that `models.config` names; {} without that file.

    Raises:
        RepositoryError: The file is not a ModelServerConfig in text format.
    """
    try:
        text = (repository / CONFIG).read_text(encoding="utf-8")
        config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise RepositoryError(f"{CONFIG} cannot be read: {error}") from error
    return {model.name: model for model in config.model_config_list.config}


def scan(repository: Path) -> dict[str, ModelEntry]:
    """The models of the repository that have a version to serve, by name.

    Raises:
        RepositoryError: There is no such folder, or its models.config cannot be read.
    """
    if not repository.is_dir():
        raise RepositoryError("there is no model repository at the configured path")
    config = read_config(repository)
    entries = {}
    for name, on_disk in artifact.published_models(repository).items():
        model = config.get(name)
        versions = served_versions(tuple(on_disk), model.model_version_policy if model else None)
        if versions:
            entries[name] = ModelEntry(name, versions, dict(model.version_labels) if model else {})
    return entries
