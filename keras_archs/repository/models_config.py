"""`models.config`: the models that a repository serves, with their versions and version labels.

The file is a ModelServerConfig in text format. TensorFlow Serving polls it, and the gateway follows the same file.
Without the file, every published version is served. An empty file says nothing, so it changes nothing for servers that
run; `model_config_list {}` serves no model. Edits replace the file atomically: a reader sees the old content or the
new.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
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
        ConfigError: The file is not a list of models that TensorFlow Serving would accept.
    """
    text = _text(repository)
    return None if text is None else _parse(text)


def is_empty(config: ModelServerConfig) -> bool:
    """Return whether the file says nothing: no text, or comments only; TensorFlow Serving then takes no action."""
    return config.WhichOneof("config") is None


def entries(config: ModelServerConfig) -> dict[str, ModelConfig]:
    """Return the entries of a configuration by the names of the models."""
    return {model.name: model for model in config.model_config_list.config}


@contextmanager
def edited(repository: Path, *, served_from: Path | None = None) -> Iterator[ModelServerConfig]:
    """Lend the configuration to a `with` block, and replace the file unless the block raises an exception.

    A lock serialises edits, also those of other processes. A new or empty file gets an entry for every published model,
    so that the models that were served before still are. Entries and fields that the block does not change are kept,
    and so are comments above the first entry; the text format drops comments further down.

    Args:
        repository: Folder of the repository.
        served_from: Path of the repository on the machine of TensorFlow Serving, for the entries of a new file; None
            for `repository`.

    Raises:
        ConfigError: The file is not a list of models that TensorFlow Serving would accept; it is not changed.
        OSError: The file cannot be written.
    """
    import fcntl  # not on Windows, where the other functions of this module still work

    folder = os.open(repository, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        text = _text(repository)
        config = _parse(text or "")
        if is_empty(config):
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
    base_paths = (model.base_path for model in models.values() if model.base_path)
    if served_from is None and (first := next(base_paths, None)):
        parent = first.rstrip("/").rpartition("/")[0]  # Path would turn s3://bucket into s3:/bucket
    else:
        parent = str(served_from or repository.resolve())
    model = config.model_config_list.config.add(name=name, base_path=f"{parent}/{name}", model_platform="tensorflow")
    model.model_version_policy.all.SetInParent()
    return model


def folder_name(model: ModelConfig) -> str:
    """Return the name of a model's folder in the repository: the last part of `base_path`; the model's name without.

    The rest of `base_path` is the repository's path on the machine of TensorFlow Serving.
    """
    return PurePosixPath(model.base_path).name if model.base_path else model.name


def why_not_served(repository: Path, name: str, version: int) -> str | None:
    """Return why `models.config` does not serve a version in the folder `name`; None if it does or does not exist."""
    try:
        config = read(repository)
    except ConfigError as error:
        return str(error)
    if config is None:
        return None
    entry = entries(config).get(name)
    if entry is None:
        return f"{CONFIG} does not name {name}; `keras-archs repo policy {name} all` adds an entry"
    if folder_name(entry) != name:
        return f"the base_path of {name} in {CONFIG} ends in another folder, {folder_name(entry)!r}"
    served = served_versions(tuple(artifact.published_versions(repository / name)), entry.model_version_policy)
    if version in served:
        return None
    policy = write_policy(entry.model_version_policy)
    return (
        f"the policy {policy} of {name} in {CONFIG} serves {', '.join(map(str, served)) or 'no version'}; "
        f"`keras-archs repo policy {name} all` serves every version"
    )


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
    elif choice == "specific" and all(number.isdecimal() for number in numbers.split(",")):
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
        if (repository / CONFIG).is_symlink():
            raise ConfigError(f"{CONFIG} is a link to a file that does not exist") from None
        return None
    except OSError as error:  # its text contains the path
        raise ConfigError(f"{CONFIG} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{CONFIG} cannot be read: {error}") from error


def _parse(text: str) -> ModelServerConfig:
    try:
        config = text_format.Parse(text, ModelServerConfig())
    except text_format.ParseError as error:
        # "line:column : 'the line': reason: 'a part of the line'"; what is quoted may contain a path
        place, _, reason = str(error).partition(" : ")
        reason = re.sub(r": ['\"].*", "", re.sub(r"^'.*': ", "", reason, flags=re.DOTALL), flags=re.DOTALL)
        raise ConfigError(f"{CONFIG} cannot be read: {place}: {reason}") from error
    if config.WhichOneof("config") == "custom_model_config":
        raise ConfigError(f"{CONFIG} has a custom_model_config, which is not supported; write a model_config_list")
    names = Counter(model.name for model in config.model_config_list.config)
    if "" in names:
        raise ConfigError(f"{CONFIG} has an entry without a name")
    if repeated := [name for name, count in names.items() if count > 1]:
        raise ConfigError(f"{CONFIG} has more than one entry for {', '.join(repeated)}")
    return config


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
