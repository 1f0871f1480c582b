"""A fake runtime whose models predict their own version number, and versions for it to load."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keras_archs.images.labels import Label
from keras_archs.images.preprocessing import Preprocessing
from keras_archs.repository import artifact
from keras_archs.repository.artifact_card import ArtifactCard, Weights
from keras_archs.repository.checksums import checksums
from keras_archs.runtimes.runtime import ActivationMaps, Arithmetic, Explain


def publish(repository: Path, name: str, version: int, *, kilobytes: int = 1) -> Path:
    """Publish a version with a model card, and a file of this size in place of a graph."""
    folder = repository / name / f".incoming-{version}"
    (folder / "assets.extra").mkdir(parents=True)
    (folder / artifact.SAVED_MODEL).write_bytes(b"x" * 1000 * kilobytes)
    card = ArtifactCard(
        name=name,
        preprocessing=Preprocessing(size=(8, 8), mean=(0, 0, 0), std=(1, 1, 1)),
        labels=tuple(Label(f"class {index}") for index in range(20)),
        weights=Weights(trained=False, source="none"),
        architecture=None,
        created="2026-01-01T00:00:00+00:00",
        producer={},
        checksums={},
        explains=True,
    )
    card = replace(card, checksums=checksums(folder))
    (folder / artifact.CARD).write_text(json.dumps(card.to_json()))
    return folder.rename(repository / name / str(version))


@dataclass
class OneHot:
    """A session that predicts its version number, one-hot; maps are all 1 for that class and all 0 for others."""

    version: int
    runtime: FakeRuntime
    memory: int
    explainer_memory: int
    max_batch: int = 2
    arithmetic: Arithmetic = "f32"
    explainer_arithmetic: Arithmetic = "f32"
    tolerance: float = 1e-3
    explainer_tolerance: float = 1e-3
    remedy: str = "use another runtime"

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        assert len(images) <= self.max_batch
        assert self.runtime.may_infer.wait(10)
        return np.eye(20, dtype=np.float32)[[self.version] * len(images)]

    def explainer(self) -> Explain:
        self.runtime.loads.append(f"explain {self.version}")
        assert self.runtime.may_load.wait(10)
        if self.version in self.runtime.broken_explainers:
            raise RuntimeError("cannot parse /secret/path")

        def explain(images: NDArray[np.uint8], classes: NDArray[np.int64]) -> ActivationMaps:
            assert len(images) == len(classes)
            probabilities = self.infer(images)
            chosen = np.where(classes == artifact.LIKELIEST, probabilities.argmax(axis=1), classes)
            maps = np.ones((len(images), 2, 3), np.float32) * (chosen == self.version)[:, None, None]
            return ActivationMaps(maps.astype(np.float32), chosen, probabilities)

        return explain


@dataclass
class FakeRuntime:
    """A runtime under the control of a test.

    Attributes:
        broken: Versions that fail to load.
        broken_explainers: Versions whose explainer fails to load.
        may_load: Loads wait until this is set.
        may_infer: Inferences wait until this is set.
        loads: Loads so far, "name/version" or "explain version".
    """

    broken: set[int] = field(default_factory=set)
    broken_explainers: set[int] = field(default_factory=set)
    may_load: threading.Event = field(default_factory=threading.Event)
    may_infer: threading.Event = field(default_factory=threading.Event)
    loads: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.may_load.set()
        self.may_infer.set()

    def estimate_memory(self, version_dir: Path) -> int:
        return 2 * (version_dir / artifact.SAVED_MODEL).stat().st_size

    def load(self, version_dir: Path, card: ArtifactCard) -> OneHot:
        self.loads.append(f"{card.name}/{version_dir.name}")
        assert self.may_load.wait(10)
        if int(version_dir.name) in self.broken:
            raise RuntimeError(f"cannot parse {version_dir}/saved_model.pb")
        memory = self.estimate_memory(version_dir)
        return OneHot(int(version_dir.name), self, memory=memory, explainer_memory=memory)


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until the condition holds, for at most 10 s."""
    async with asyncio.timeout(10):
        while not await condition():  # noqa: ASYNC110  the engine does not announce changes of its state
            await asyncio.sleep(0.005)
