"""The layout of published models on disk: TensorFlow Serving's, with a card for each version.

    <repository>/<name>/<version>/saved_model.pb  variables/  assets/labels.txt
                                  assets.extra/tf_serving_warmup_requests
                                  assets.extra/model_card.json
                                  assets.extra/reference_answers.npz
                                  assets.extra/int8.xml  int8.bin  int8_answers.npz    quantized versions only
    <repository>/.cache/          versions that OpenVINO has converted; may be deleted

The exporter writes versions, the gateway and the command line read them: nothing here imports Keras or TensorFlow.
"""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from keras_archs.repository.artifact_card import ArtifactCard

SAVED_MODEL = "saved_model.pb"
LABELS = Path("assets/labels.txt")
CARD = Path("assets.extra/model_card.json")
WARMUP = Path("assets.extra/tf_serving_warmup_requests")
REFERENCE_ANSWERS = Path("assets.extra/reference_answers.npz")
INT8_GRAPH = Path("assets.extra/int8.xml")  # OpenVINO's; its weights are in INT8_WEIGHTS
INT8_WEIGHTS = INT8_GRAPH.with_suffix(".bin")
INT8_ANSWERS = Path("assets.extra/int8_answers.npz")
CONVERSION_CACHE = ".cache"

MAX_VERSION = 2**63 - 1  # TensorFlow Serving keeps versions in an int64
LIKELIEST = -1  # the value of `classes`, an input of the signature `explain`, that means the most likely class
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_VERSION_NAMES = f"a number from 0 to {MAX_VERSION} in the digits 0 to 9"


class ArtifactError(ValueError):
    """A published version is incomplete or altered, or this package did not write it."""


class NotPublishedError(ValueError):
    """The repository, the model or the version does not exist."""


def is_name(name: str) -> bool:
    """Return whether a repository, a URL and a metric can all contain `name`."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str) -> str:
    """Return `name` if a repository, a URL and a metric can all contain it.

    Raises:
        ValueError: The name has other characters, or not 1 to 128 of them.
    """
    if not is_name(name):
        raise ValueError(
            f"a model's name must be 1 to 128 letters, digits, '.', '_' or '-', "
            f"starting with a letter or digit; got {name!r}"
        )
    return name


@dataclass(frozen=True)
class ModelFolder:
    """The folder of a model, as it is on disk.

    Attributes:
        versions: Folder of each published version by number, ascending.
        unreadable: Folder of each version that the process may not read, by number.
        problems: Why folders that look like versions are no published versions; without paths of the machine.
        is_readable: Whether the process could list the folder.
    """

    versions: Mapping[int, Path] = field(default_factory=dict)
    unreadable: Mapping[int, Path] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    is_readable: bool = True


def model_folders(repository: Path) -> dict[str, ModelFolder]:
    """Return the folders of a repository that have a published version, or a problem, by the name of the model.

    Raises:
        OSError: The process may not list the repository.
    """
    try:
        entries = sorted(entry for entry in repository.iterdir() if is_name(entry.name))
    except FileNotFoundError:
        return {}
    folders = {entry.name: read_model_folder(entry) for entry in entries}
    return {name: folder for name, folder in folders.items() if folder.versions or folder.problems}


def read_model_folder(model_dir: Path) -> ModelFolder:
    """Return what a model's folder contains; no versions if the folder does not exist.

    A version is a folder whose name is a number in decimal digits, as in TensorFlow Serving, and which contains a
    SavedModel. So an unfinished export (`.incoming-*`) is none.
    """
    try:
        entries = sorted(entry for entry in model_dir.iterdir() if not entry.name.startswith("."))
    except NotADirectoryError:
        return ModelFolder()
    except FileNotFoundError:
        is_link = model_dir.is_symlink()
        return ModelFolder(problems=("its folder is a link that leads nowhere",) if is_link else ())
    except OSError as error:
        return ModelFolder(problems=(f"its folder cannot be read: {error.strerror}",), is_readable=False)
    versions: dict[int, Path] = {}
    unreadable: dict[int, Path] = {}
    problems: list[str] = []
    for entry in entries:
        number = _version_number(entry.name)
        try:
            has_graph = _is_file(entry / SAVED_MODEL)
        except OSError as error:
            if number is not None:
                unreadable[number] = entry
                problems.append(f"version {number} cannot be read: {error.strerror}")
            continue
        if number is None:
            if has_graph or entry.name == SAVED_MODEL:
                problems.append(f"{entry.name!r} is not served: the name of a version is {_VERSION_NAMES}")
        elif not has_graph:
            problems.append(f"version {number} is not served: {entry.name!r} contains no {SAVED_MODEL}")
        else:
            if number in versions:  # TensorFlow Serving also takes the last in alphabetical order
                problems.append(f"{versions[number].name!r} is not served: version {number} is {entry.name!r}")
            versions[number] = entry
    return ModelFolder(dict(sorted(versions.items())), unreadable, tuple(problems))


def published_models(repository: Path) -> dict[str, list[int]]:
    """Return the names of the models that have a published version, each with its versions in ascending order."""
    return {name: list(folder.versions) for name, folder in model_folders(repository).items() if folder.versions}


def published_versions(model_dir: Path) -> list[int]:
    """Return the versions in a model's folder, in ascending order; [] if the folder does not exist."""
    return list(read_model_folder(model_dir).versions)


def check_repository(repository: Path) -> Path:
    """Return `repository` if it is a folder.

    Raises:
        NotPublishedError: The folder does not exist.
    """
    if not repository.is_dir():
        raise NotPublishedError(
            f"there is no model repository at {repository}; "
            f"`keras-archs export MODEL --repository {repository}` creates one"
        )
    return repository


def find_versions(repository: Path, name: str) -> tuple[int, ...]:
    """Return the published versions of a model, in ascending order.

    Raises:
        NotPublishedError: The repository does not exist, or has no version of this model.
    """
    folders = model_folders(check_repository(repository))
    folder = folders.get(name, ModelFolder())
    if not folder.versions:
        published = ", ".join(other for other, found in folders.items() if found.versions) or "none"
        reason = f" ({'; '.join(folder.problems)})" if folder.problems else ""
        raise NotPublishedError(f"no model {name!r} is published in {repository}{reason}; published: {published}")
    return tuple(folder.versions)


def find_version(repository: Path, name: str, version: int | None = None) -> Path:
    """Return the folder of a published version.

    Args:
        repository: Folder of the repository.
        name: Name of the model in the repository.
        version: Number of the version; None for the newest.

    Raises:
        NotPublishedError: The repository, the model or the version does not exist.
    """
    versions = find_versions(repository, name)
    selected = versions[-1] if version is None else version
    if selected not in versions:
        raise NotPublishedError(
            f"{name} has no version {version} in {repository}; published: {', '.join(map(str, versions))}"
        )
    return read_model_folder(repository / name).versions[selected]


def read_card(version_dir: Path) -> ArtifactCard:
    """Read the card of a version.

    Raises:
        ArtifactError: The version has no card, or this package did not write it.
    """
    try:
        return ArtifactCard.from_json(json.loads((version_dir / CARD).read_bytes()))
    except FileNotFoundError:
        raise ArtifactError(
            f"no {CARD} in version {version_dir.name} of {version_dir.parent.name!r}: "
            "publish with keras_archs.export_model or `keras-archs export`"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error  # an OSError's text contains the path
        raise ArtifactError(
            f"{CARD} of version {version_dir.name} of {version_dir.parent.name!r} cannot be read: {reason}"
        ) from error


def write_card(version_dir: Path, card: ArtifactCard) -> None:
    """Write the card of a version that is being published."""
    (version_dir / CARD).write_text(json.dumps(card.to_json(), indent=1) + "\n", encoding="utf-8")


def _version_number(name: str) -> int | None:
    """Return the number of a version from the name of its folder; None if the name is no such number."""
    number = int(name) if name.isascii() and name.isdecimal() else None
    return number if number is not None and number <= MAX_VERSION else None


def _is_file(path: Path) -> bool:
    """Return whether a file exists, as `Path.is_file`, which however hides that a link leads in a circle."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
