"""The part that all engines share: names, versions and cards as the model repository has them."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from keras_archs.repository import artifact
from keras_archs.repository.artifact_card import ArtifactCard
from keras_archs.repository.models_config import VersionPolicy
from keras_archs.runtimes.card_fit import check_name
from serving.core.engine import VersionStatus
from serving.core.errors import ModelUnavailableError
from serving.core.repository import EVERY_MODEL, ModelEntry, ModelSpec
from serving.core.repository_watch import RepositoryWatch

VersionKey = tuple[str, int]
"""Name and version number of a model."""


class RepositoryEngine(ABC):
    """An engine over a model repository. Subclasses choose the version that answers, load it and run it."""

    def __init__(self, repository: Path, *, poll_seconds: float, default_policy: VersionPolicy | None = None) -> None:
        """Prepare an engine; the subclass starts and closes `_watch`.

        Args:
            repository: Folder of the model repository.
            poll_seconds: Interval between two reads of the repository.
            default_policy: Version policy for all models if there is no models.config; None serves all versions.
        """
        self._watch = RepositoryWatch(repository, poll_seconds=poll_seconds, default_policy=default_policy)

    def model_names(self) -> Collection[str]:
        """Return the names of the published models."""
        return self._watch.entries.keys()

    def model_statuses(self) -> Mapping[str, tuple[VersionStatus, ...]]:
        """Return the status of each published version, ascending, by model name."""
        return {
            name: tuple(self._status(entry, version) for version in entry.versions)
            for name, entry in self._watch.entries.items()
        }

    def problems(self) -> Mapping[str, Sequence[str]]:
        """Return what is not served as it was meant to be, in words, by model name or, for all, `EVERY_MODEL`."""
        of_all = {EVERY_MODEL: (self._watch.error,)} if self._watch.error else {}
        return {**of_all, **self._watch.problems}

    def not_ready_reason(self) -> str | None:
        """Return why no model can be served at present; None if a model can."""
        return self._watch.not_ready_reason()

    def check_published(self, spec: ModelSpec) -> None:
        """Raise the errors of `acquire` for a model, version or label that is not served; load nothing."""
        self._watch.entry(spec.name).candidates(spec)

    async def resolve(self, spec: ModelSpec) -> tuple[int, ArtifactCard]:
        """Return the version that answers `spec` and its card, without loading the model."""
        version = self._select(self._watch.entry(spec.name), spec)
        try:
            return version, await self._card((spec.name, version))
        except artifact.ArtifactError as error:
            raise ModelUnavailableError(str(error)) from error

    async def _card(self, key: VersionKey) -> ArtifactCard:
        """Return the card of a version; artifact.ArtifactError if it cannot be read, or is that of another model."""
        if card := self._loaded_card(key):
            return card
        return await asyncio.to_thread(_read_card, self._version_dir(key))

    def _version_dir(self, key: VersionKey) -> Path:
        name, version = key
        entry = self._watch.entries.get(name)
        if entry is None or version not in entry.folders:
            raise artifact.ArtifactError(f"version {version} of {name} is no longer published")
        return entry.folders[version]

    @abstractmethod
    def _select(self, entry: ModelEntry, spec: ModelSpec) -> int:
        """Return the version that answers `spec` now."""

    @abstractmethod
    def _status(self, entry: ModelEntry, version: int) -> VersionStatus:
        """Return the state and labels of a version."""

    @abstractmethod
    def _loaded_card(self, key: VersionKey) -> ArtifactCard | None:
        """Return the card of a version that is loaded; None for other versions."""


def _read_card(version_dir: Path) -> ArtifactCard:
    card = artifact.read_card(version_dir)
    check_name(card, version_dir)
    return card
