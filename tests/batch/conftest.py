"""Fixtures of the batch tests: a version that answers at once, and folders of photographs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from keras_archs.batch.predictor import Predictor
from keras_archs.batch.work import Work


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory, constant_classifier: Callable[[Path, int], Path]) -> Work:
    """What version 1 of `tiny`, which answers "one" for every image, computes."""
    repository = tmp_path_factory.mktemp("batch") / "models"
    return Work(constant_classifier(repository, 1), repository / ".cache", top_k=2)


@pytest.fixture(scope="session")
def predictor(work: Work) -> Predictor:
    """The version, loaded."""
    return Predictor(work, threads=2)


@pytest.fixture
def photos(tmp_path: Path, photographs: dict[str, bytes]) -> Path:
    """A folder with six photographs in two folders, of which one is damaged."""
    folder = tmp_path / "photos"
    for number, name in enumerate(["b/2.jpg", "a/10.jpg", "a/2.JPG", "c.jpeg", "b/1.jpg", "a/1.jpg"]):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photographs[("coffee", "chelsea", "camera")[number % 3]])
    (folder / "b/1.jpg").write_bytes(photographs["coffee"][:2000])
    return folder


IN_ORDER = ["c.jpeg", "a/1.jpg", "a/10.jpg", "a/2.JPG", "b/1.jpg", "b/2.jpg"]
"""The photographs of `photos` in the order of a listing."""
