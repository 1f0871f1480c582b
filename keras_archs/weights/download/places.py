"""The folders that may already have a file of weights, in the order in which they are searched.

Files are found by their names alone; whether a file may be used is decided by its content.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from keras_archs.cards.weights_entry import WeightsEntry, WeightsFile
from keras_archs.weights.download import hub

FOLDERS = "KERAS_ARCHS_WEIGHTS"
"""Environment variable with folders that the user has filled, separated as in PATH."""
OWN = "keras-archs"
"""Owner of the cache."""


@dataclass(frozen=True)
class Place:
    """A folder that may have files of weights, and where they are in it."""

    folder: Path
    owner: str
    """The program that keeps its files there, or the variable that names the folder."""
    paths: Callable[[Path, WeightsEntry, WeightsFile], Iterable[Path]]
    """Yields the paths that a file may have in the folder."""


def cache() -> Path:
    """Return the folder in which downloaded files are kept."""
    return keras_home() / "keras_archs" / "weights"


def path_in_cache(entry: WeightsEntry, file: WeightsFile) -> Path:
    """Return the path of a file in the cache: several sources have files of the same name, e.g. model.safetensors."""
    return cache() / relative_path(entry, file)


def relative_path(entry: WeightsEntry, file: WeightsFile) -> PurePosixPath:
    """Return the path of a file in the cache, in a mirror and in folders of `FOLDERS`."""
    return PurePosixPath(entry.network, entry.tag, PurePosixPath(file.name).name)


def places() -> Iterator[Place]:
    """Yield the places in the order of the search."""
    for folder in filter(None, os.environ.get(FOLDERS, "").split(os.pathsep)):
        yield Place(Path(folder).expanduser(), FOLDERS, _given)
    yield Place(cache(), OWN, _own)
    yield Place(keras_home() / "models", "Keras", _by_name)
    yield Place(_torch_home() / "hub" / "checkpoints", "Torch", _by_name)
    yield Place(hub.cache(), "Hugging Face hub", _in_hub_cache)


def path_in_package(file: WeightsFile) -> Path | None:
    """Return the path of a file of an installed pip package, whose code is not run; None if it is not installed."""
    spec = find_spec(file.location)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0], file.name)


def _given(folder: Path, entry: WeightsEntry, file: WeightsFile) -> Iterator[Path]:
    yield folder / relative_path(entry, file)
    if file.place == "hub":
        yield folder / file.location / file.name
    if file.place != "hub" or file.checksum:  # all repositories of the hub use the same few names
        yield folder / PurePosixPath(file.name).name


def _own(folder: Path, entry: WeightsEntry, file: WeightsFile) -> Iterator[Path]:
    yield folder / relative_path(entry, file)


def _by_name(folder: Path, entry: WeightsEntry, file: WeightsFile) -> Iterator[Path]:
    if file.place == "url":
        yield folder / file.name


def _in_hub_cache(folder: Path, entry: WeightsEntry, file: WeightsFile) -> Iterator[Path]:
    if file.place == "hub":
        yield from hub.cached(folder, file)


def keras_home() -> Path:
    """Return Keras' folder, without importing Keras."""
    if "KERAS_HOME" in os.environ:
        return Path(os.environ["KERAS_HOME"]).expanduser()
    home = Path.home()
    return (home if os.access(home, os.W_OK) else Path("/tmp")) / ".keras"  # noqa: S108, as Keras does


def _torch_home() -> Path:
    default = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "torch")
    return Path(os.environ.get("TORCH_HOME", default)).expanduser()
