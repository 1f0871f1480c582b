"""`models.config`: the models that a repository serves, with their versions and version labels.

The file is a ModelServerConfig in text format. TensorFlow Serving polls it, and the gateway follows the same file.
Without the file, every published version is served. Edits replace the file atomically: a reader sees the old content
or the new.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from google.protobuf import text_format

# unlike tensorflow_serving.apis, these modules do not import TensorFlow
from tensorflow_serving.config.file_system_storage_path_source_pb2 import FileSystemStoragePathSourceConfig
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig, ModelServerConfig

from keras_archs.repository import artifact

CONFIG = "models.config"
VersionPolicy: TypeAlias = FileSystemStoragePathSourceConfig.ServableVersionPolicy

_LABEL = re.compile(r"[A-Za-z0-9_]{1,128}")
_HEADER = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*")


class ConfigError(ValueError):
    """`models.config` cannot be read, or would become invalid."""


def read(repository: Path) -> ModelServerConfig | None:
    """Read the configuration of a repository; None if there is no `models.config`.

    Raises:
        ConfigError: The file is not a ModelServerConfig in text format.
    """
    text = _text(repository)
    return None if text is None else _parse(text)


def entries(config: ModelServerConfig) -> dict[str, ModelConfig]:
    """Return the entries of a configuration by the names of the models."""
    return {model.name: model for model in config.model_config_list.config}


@contextmanager
def edited(repository: Path, *, served_from: Path | None = None) -> Iterator[ModelServerConfig]:
    """Lend the configuration to a `with` block, and replace the file unless the block raises an exception.

    A lock serialises edits, also those of other processes. A new file gets an entry for every published model, so that
    the models that were served without the file still are. Entries and fields that the block does not change are kept,
    and so are comments above the first entry; the text format drops comments further down.

    Args:
        repository: Folder of the repository.
        served_from: Path of the repository on the machine of TensorFlow Serving, for the entries of a new file; None
            for `repository`.

    Raises:
        ConfigError: The file is not a ModelServerConfig in text format; it is not changed.
        OSError: The file cannot be written.
    """
    import fcntl  # not on Windows, where the other functions of this module still work

    folder = os.open(repository, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        text = _text(repository)
        config = _parse(text or "")
        if text is None:
            for name in artifact.published_models(repository):
                include(config, repository, name, served_from=served_from)
        yield config
        header = _HEADER.match(text or "")
        _replace(repository / CONFIG, (header[0] if header else "") + text_format.MessageToString(config))
        os.fsync(folder)
    finally:
        os.close(folder)


def include(config: ModelServerConfig, repository: Path, name: str, *, served_from: Path | None = None) -> ModelConfig:
    """Return the entry of a model; a new entry serves all versions, as a repository without `models.config` does.

    Args:
        config: Configuration to search and to add the entry to.
        repository: Folder of the repository.
        name: Name of the model.
        served_from: Path of the repository on the machine of TensorFlow Serving, for a new entry; None for the path in
            the first entry, or for `repository` if there is no entry.
    """
    models = entries(config)
    if name in models:
        return models[name]
    if served_from is None:
        base_paths = (Path(model.base_path).parent for model in models.values())
        served_from = next(base_paths, repository.resolve())
    model = config.model_config_list.config.add(
        name=name, base_path=str(served_from / name), model_platform="tensorflow"
    )
    model.model_version_policy.all.SetInParent()
    return model


def read_policy(text: str) -> VersionPolicy:
    """Parse a version policy: "all", "latest=2" or "specific=1,4".

    Raises:
        ConfigError: The text has another form.
    """
    choice, _, numbers = text.partition("=")
    policy = VersionPolicy()
    if choice == "all" and not numbers:
        policy.all.SetInParent()
    elif choice == "latest" and _positive(numbers):
        policy.latest.num_versions = int(numbers)
    elif choice == "specific" and all(map(_positive, numbers.split(","))):
        policy.specific.versions.extend(sorted({int(number) for number in numbers.split(",")}))
    else:
        raise ConfigError(f"a version policy is all, latest=N or specific=N,N,...; got {text!r}")
    return policy


def write_policy(policy: VersionPolicy) -> str:
    """Return the text from which `read_policy` makes the policy; "latest=1", TensorFlow Serving's default, if empty."""
    match policy.WhichOneof("policy_choice"):
        case "all":
            return "all"
        case "specific":
            return "specific=" + ",".join(map(str, policy.specific.versions))
        case _:
            return f"latest={policy.latest.num_versions or 1}"


def served_versions(on_disk: tuple[int, ...], policy: VersionPolicy | None) -> tuple[int, ...]:
    """Return the versions of `on_disk` (ascending) that `policy` selects; all versions if `policy` is None."""
    if policy is None:
        return on_disk
    match policy.WhichOneof("policy_choice"):
        case "specific":
            return tuple(version for version in on_disk if version in policy.specific.versions)
        case "all":
            return on_disk
        case _:  # TensorFlow Serving's default is latest { num_versions: 1 }
            return on_disk[-(policy.latest.num_versions or 1) :]


def check_label(label: str) -> str:
    """Return `label` if TensorFlow Serving accepts it as a version label.

    Raises:
        ConfigError: The label has other characters, or not 1 to 128 of them.
    """
    if not _LABEL.fullmatch(label):
        raise ConfigError(f"a label is 1 to 128 letters, digits or '_'; got {label!r}")
    return label


def _positive(number: str) -> bool:
    return number.isdecimal() and int(number) > 0


def _text(repository: Path) -> str | None:
    try:
        return (repository / CONFIG).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{CONFIG} cannot be read: {error}") from error


def _parse(text: str) -> ModelServerConfig:
    try:
        return text_format.Parse(text, ModelServerConfig())
    except text_format.ParseError as error:
        raise ConfigError(f"{CONFIG} cannot be read: {error}") from error


def _replace(path: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), 0o644)  # mkstemp's 0600 would lock out a server that runs as another user
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise
