"""The models and versions that a repository serves.

As in TensorFlow Serving, `models.config` names the models to serve, with their version policies and labels. Without the
file every model is served in all its versions, and the newest answers by default. What cannot be served is left out
with a problem in words, so that it never keeps the rest from being served. Clients see problems, so they contain no
path of the machine.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TypeAlias

from tensorflow_serving.config.model_server_config_pb2 import ModelConfig

from keras_archs.registry import list_models
from keras_archs.repository import artifact, models_config
from serving.core.errors import LabelNotFoundError, ModelNotFoundError, VersionNotFoundError

EVERY_MODEL = "*"  # stands for a model's name where a problem concerns the whole repository; no name can contain it


class RepositoryError(ValueError):
    """The repository cannot be read, or its models.config cannot be read or is empty."""


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
        name: Name of the model.
        versions: Served versions, ascending, never empty.
        labels: Version labels, e.g. {"stable": 1, "canary": 2}.
        folders: Folder of each published version, served or not.
    """

    name: str
    versions: tuple[int, ...]
    labels: Mapping[str, int] = field(default_factory=dict)
    folders: Mapping[int, Path] = field(default_factory=dict, compare=False)

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
        similar = functools.partial(difflib.get_close_matches, name[:128], n=3)
        close = similar(published) or similar(registered)  # a name that answers is the better guess
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
    return ModelNotFoundError(f"no model {name[:128]!r} is published here{hint}")


@dataclass(frozen=True)
class Contents:
    """What a repository serves.

    Attributes:
        models: Models that have a version to serve, by name.
        problems: What is not served as it was meant to be, in words, by the name of the model.
        is_configured: Whether there is a models.config.
    """

    models: Mapping[str, ModelEntry]
    problems: Mapping[str, tuple[str, ...]]
    is_configured: bool


def scan(
    repository: Path,
    *,
    default_policy: models_config.VersionPolicy | None = None,
    previous: Mapping[str, ModelEntry] = MappingProxyType({}),
) -> Contents:
    """Read what a repository serves.

    Args:
        repository: Folder of the model repository.
        default_policy: Version policy for all models if there is no models.config; None serves all versions.
        previous: Models of the last read. Of these, models and versions that the process may not read at present are
            still served.

    Raises:
        RepositoryError: The repository cannot be read, or its models.config cannot be read or is empty.
    """
    try:
        if not repository.is_dir():
            raise RepositoryError("there is no model repository at the configured path")
        config = models_config.read(repository)
        folders = artifact.model_folders(repository)
    except models_config.ConfigError as error:
        raise RepositoryError(str(error)) from error
    except OSError as error:  # its text contains the path
        raise RepositoryError(f"the model repository cannot be read: {error.strerror}") from error
    if config is not None and models_config.is_empty(config):
        raise RepositoryError(
            f"{models_config.CONFIG} is empty, which TensorFlow Serving ignores as well: `keras-archs export` and "
            "`keras-archs repo policy` add entries; without the file every model is served"
        )
    if config is None:
        found = {name: _entry(name, folder, default_policy, {}, previous.get(name)) for name, folder in folders.items()}
    else:
        found = _configured(repository, models_config.entries(config), folders, previous)
    return Contents(
        models={name: entry for name, (entry, _) in found.items() if entry},
        problems={name: problems for name, (_, problems) in found.items() if problems},
        is_configured=config is not None,
    )


_Found: TypeAlias = tuple[ModelEntry | None, tuple[str, ...]]
"""A model, None if it has no version to serve, and its problems."""


def _configured(
    repository: Path,
    configured: Mapping[str, ModelConfig],
    folders: Mapping[str, artifact.ModelFolder],
    previous: Mapping[str, ModelEntry],
) -> dict[str, _Found]:
    base_paths: dict[str, set[PurePosixPath]] = {}
    for model in configured.values():
        if model.base_path:
            base_path = PurePosixPath(model.base_path)
            base_paths.setdefault(base_path.name, set()).add(base_path)
    found: dict[str, _Found] = {}
    for name, model in configured.items():
        folder = models_config.folder_name(model)
        problem = None
        if not artifact.is_name(name):
            problem = "a model's name is 1 to 128 letters, digits, '.', '_' or '-', and starts with a letter or digit"
        elif len(base_paths.get(folder, ())) > 1:
            problem = f"different base_paths end in {folder!r}, and only one can be that folder of the repository"
        elif folder not in folders:
            problem = f"the repository has no folder {folder!r} with a version, in which its base_path ends"
        if problem is not None:
            found[name] = (None, (problem,))
            continue
        labels = dict(model.version_labels)
        entry, problems = _entry(name, folders[folder], model.model_version_policy, labels, previous.get(name))
        if _is_another_folder(model.base_path, repository / folder):
            problems += (f"its base_path is another folder than {folder!r} of the repository, which is served",)
        found[name] = (entry, problems)
    return found


def _is_another_folder(base_path: str, folder: Path) -> bool:
    """Return whether a `base_path` is a folder of this machine, but not `folder`."""
    path = Path(base_path)
    try:
        return path.is_absolute() and path.is_dir() and not path.samefile(folder)
    except OSError:  # as if it were a path of TensorFlow Serving's machine
        return False


def _entry(
    name: str,
    folder: artifact.ModelFolder,
    policy: models_config.VersionPolicy | None,
    labels: Mapping[str, int],
    previous: ModelEntry | None,
) -> _Found:
    if not folder.is_readable:
        return previous, folder.problems
    known = {
        version: path
        for version, path in folder.unreadable.items()
        if previous is not None and version in previous.folders
    }
    published = dict(sorted({**known, **folder.versions}.items()))
    versions = models_config.served_versions(tuple(published), policy)
    problems = list(folder.problems)
    if policy is not None:
        missing = [version for version in policy.specific.versions if version not in versions]
        problems += [f"version {version}, which its policy selects, is not published" for version in missing]
    problems += [
        f"label {label!r} has no effect: version {version} is not served"
        for label, version in sorted(labels.items())
        if version not in versions
    ]
    entry = ModelEntry(name, versions, labels, published) if versions else None
    return entry, tuple(problems)
