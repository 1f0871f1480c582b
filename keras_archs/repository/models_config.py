"""`models.config`: which models a repository serves, in which versions, and under which labels.

The file is TensorFlow Serving's own ModelServerConfig in text format, which it polls; the gateway obeys the same one.
Where there is none, all that is published is served. Writing replaces it atomically, so nobody ever reads half of it.
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

# these schema modules, unlike tensorflow_serving.apis, do not import TensorFlow
from tensorflow_serving.config.file_system_storage_path_source_pb2 import FileSystemStoragePathSourceConfig
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig, ModelServerConfig

from keras_archs.repository import artifact

CONFIG = "models.config"
VersionPolicy: TypeAlias = FileSystemStoragePathSourceConfig.ServableVersionPolicy

_LABEL = re.compile(r"[A-Za-z0-9_]{1,128}")
_HEADER = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*")


class ConfigError(ValueError):
    """`models.config` cannot be read, or cannot hold what was asked of it."""


def read(repository: Path) -> ModelServerConfig | None:
    """The configuration; None if the repository has none.

    Raises:
        ConfigError: The file is not a ModelServerConfig in text format.
    """
    text = _text(repository)
    return None if text is None else _parse(text)


def entries(config: ModelServerConfig) -> dict[str, ModelConfig]:
    """The models that a configuration names."""
    return {model.name: model for model in config.model_config_list.config}


@contextmanager
def edited(repository: Path, *, served_from: Path | None = None) -> Iterator[ModelServerConfig]:
    """Gives the configuration to change, and replaces the file if the body ends well. Others wait until it has.

    A new file names every published model, so that what was served without one still is. What the body leaves alone
    stays as it is, and so do comments above the first entry; the text format does not keep those further down.

    Args:
        repository: Its folder.
        served_from: The repository's folder as TensorFlow Serving sees it, for a new file; None for `repository`.

    Raises:
        ConfigError: The file is not a ModelServerConfig in text format. It is then left alone.
        OSError: It cannot be written.
    """
    import fcntl  # Windows has none, where reading works all the same

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
    """The entry of a model, added if there is none: with all versions, as it is served without a configuration."""
    known = entries(config)
    if name in known:
        return known[name]
    if served_from is None:
        others = (Path(model.base_path).parent for model in known.values())
        served_from = next(others, repository.resolve())
    model = config.model_config_list.config.add(
        name=name, base_path=str(served_from / name), model_platform="tensorflow"
    )
    model.model_version_policy.all.SetInParent()
    return model


def read_policy(text: str) -> VersionPolicy:
    """A version policy from words: "all", "latest=2", "specific=1,4".

    Raises:
        ConfigError: It is none of these.
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
    """The inverse of `read_policy`; TensorFlow Serving's default is "latest=1"."""
    match policy.WhichOneof("policy_choice"):
        case "all":
            return "all"
        case "specific":
            return "specific=" + ",".join(map(str, policy.specific.versions))
        case _:
            return f"latest={policy.latest.num_versions or 1}"


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


def check_label(label: str) -> str:
    """Returns `label` if TensorFlow Serving takes it; raises ConfigError if not."""
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
