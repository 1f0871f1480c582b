"""Cache of converted graphs: files that are used only while their checksums are right, and removed when they are stale.

    <folder>/<key>-<signature>.xml  .bin    a graph as OpenVINO writes it
    <folder>/<key>-<signature>.json         its record: checksums of both files, and the version it was made of

Several processes may share the folder, also with other repositories and other releases of OpenVINO. A cache that cannot
be used is no reason not to serve: all failures are logged, and the caller converts the version itself.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from keras_archs.repository import artifact
from keras_archs.repository.artifact import ArtifactError
from keras_archs.repository.artifact_card import ArtifactCard
from keras_archs.repository.checksums import sha256_of

log = logging.getLogger(__name__)

UNUSED_SECONDS: Final = 3600.0
"""Seconds since the last use after which a stale file is removed: a rollout, or a way back, takes less."""

_SUFFIXES: Final = (".bin", ".xml")
_INCOMING: Final = ".incoming-"
_FILE: Final = re.compile(r"(?P<key>[0-9a-f]{64})-(serving_default|explain|features)\.(xml|bin|json)")


@dataclass(frozen=True)
class _Record:
    release: str
    repository: str
    model: str
    version: str
    checksums: dict[str, str]


class ConversionCache:
    """Converted graphs in a folder, made by one release of a converter."""

    def __init__(self, folder: Path, release: str) -> None:
        """Prepare a cache; nothing is read or written.

        Args:
            folder: Folder of the cache, created if needed.
            release: Release of the converter; conversions of other releases are not used.
        """
        self._folder = folder
        self._release = release

    def find(self, card: ArtifactCard, signature: str) -> Path | None:
        """Return the .xml file of a conversion whose files are as they were written; None if there is none."""
        path = self._path(card, signature)
        try:
            record = _read_record(path)
            intact = record.checksums == {suffix: sha256_of(path.with_suffix(suffix)) for suffix in _SUFFIXES}
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, TypeError) as error:
            log.warning("the cached conversion of %s cannot be read and is made again: %s", card.name, error)
            return None
        if not intact:
            log.warning("the cached conversion of %s has been altered and is made again", card.name)
            return None
        _touch(path)
        return path

    def store(
        self, version_dir: Path, card: ArtifactCard, signature: str, write: Callable[[Path], object]
    ) -> Path | None:
        """Add the conversion of a version, and remove stale conversions.

        Args:
            version_dir: Folder of the version.
            card: Card of the version.
            signature: Signature that was converted.
            write: Writes the conversion to a path that ends in .xml, and its weights beside it.

        Returns:
            The .xml file; None if the folder cannot be written.
        """
        path = self._path(card, signature)
        repository = version_dir.parents[1].resolve()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=_INCOMING, dir=self._folder) as folder:
                incoming = Path(folder) / path.name
                write(incoming)
                sums = {suffix: sha256_of(incoming.with_suffix(suffix)) for suffix in _SUFFIXES}
                record = _Record(self._release, str(repository), version_dir.parent.name, version_dir.name, sums)
                incoming.with_suffix(".json").write_text(json.dumps(asdict(record)), encoding="utf-8")
                for suffix in (*_SUFFIXES, ".json"):  # the record last, which makes the conversion valid
                    incoming.with_suffix(suffix).replace(path.with_suffix(suffix))
        except (OSError, RuntimeError) as error:  # OpenVINO reports a full disk as a RuntimeError
            log.warning("the conversion of %s cannot be cached: %s", card.name, error)
            return None
        self._remove_stale(repository)
        return path

    def _path(self, card: ArtifactCard, signature: str) -> Path:
        return self._folder / f"{_key(self._release, card)}-{signature}.xml"

    def _remove_stale(self, repository: Path) -> None:
        """Remove what no process can need: see `_is_stale`. What cannot be read or removed is left."""
        oldest = time.time() - UNUSED_SECONDS
        try:
            unused = [entry for entry in self._folder.iterdir() if entry.stat().st_mtime < oldest]
        except OSError as error:
            log.warning("cannot look for stale conversions: %s", error)
            return
        for entry in unused:
            try:
                if self._is_stale(entry, repository):
                    _remove(entry)
                    log.info("removed the stale conversion %s", entry.name)
            except (OSError, ValueError, TypeError) as error:
                log.warning("a conversion cannot be checked or removed: %s", error)

    def _is_stale(self, entry: Path, repository: Path) -> bool:
        """Return whether an entry of the folder is of no use.

        These are parts of a conversion that was interrupted, and, of `repository`, the conversions by other releases
        and of versions that have been removed or published again. Conversions of other repositories, whose versions
        may be out of sight, and files that the cache did not write are not stale.
        """
        if entry.name.startswith(_INCOMING) and entry.is_dir():
            return True
        match = _FILE.fullmatch(entry.name)
        if not match:
            return False
        try:
            record = _read_record(entry)
        except FileNotFoundError:
            return True
        if record.repository != str(repository) or not repository.is_dir():
            return False
        return record.release != self._release or self._is_outdated(
            match["key"], repository / record.model / record.version
        )

    def _is_outdated(self, key: str, version_dir: Path) -> bool:
        if not (version_dir / artifact.SAVED_MODEL).is_file():
            return True
        try:
            return key != _key(self._release, artifact.read_card(version_dir))
        except ArtifactError:  # it may be repaired
            return False


def _key(release: str, card: ArtifactCard) -> str:
    """Return a key that two versions share only if the graph and the release of the converter are the same."""
    content = json.dumps([release, dict(card.checksums)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _read_record(path: Path) -> _Record:
    data = json.loads(path.with_suffix(".json").read_bytes())
    if not isinstance(data, dict):
        raise ValueError(f"{path.stem}.json is no record of a conversion")
    return _Record(**data)


def _touch(path: Path) -> None:
    """Note the use of a conversion, if the folder can be written."""
    for suffix in (*_SUFFIXES, ".json"):
        try:
            os.utime(path.with_suffix(suffix))
        except OSError:
            return


def _remove(entry: Path) -> None:
    if entry.is_dir():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)
