"""A run does each of its stages once, wherever it was killed, and publishes at most one version."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from keras_archs.repository import artifact
from keras_archs.training.data.dataset import Dataset
from keras_archs.training.data.image_folder import image_folder
from keras_archs.training.runs import publish, run
from keras_archs.training.runs.config import DataConfig
from keras_archs.training.runs.run import Finished, carry_out
from keras_archs.training.runs.run_folder import RunFolder
from keras_archs.training.runs.train import INTERRUPTED, Trained
from tests.support.listener import Listener
from tests.support.runs import a_config

CLASSES = ("one", "two", "zero")


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


class Network:
    """Stands for a Keras model."""

    def save(self, path: Path) -> None:
        path.write_bytes(b"weights")


@dataclass
class Course:
    """How training and export go in a test."""

    result: Trained = field(default_factory=lambda: Trained(Network(), None, {"one/0.png": "It is damaged."}))
    trainings: int = 0
    before_export: Callable[[], None] = lambda: None
    after_export: Callable[[], None] = lambda: None


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    for name in CLASSES:
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (32, 32), (60 * number, 0, 0)).save(tmp_path / "photos" / name / f"{number}.png")
    return image_folder(tmp_path / "photos")


@pytest.fixture
def folder(tmp_path: Path, data: Dataset) -> RunFolder:
    described = DataConfig(
        source=str(tmp_path / "photos"),
        packaged=False,
        may_flip=True,
        classes=data.classes,
        images={"train": 9, "validation": 3},
        digest="digest",
    )
    config = a_config(name="tiny", data=described, repository=str(tmp_path / "models"), report=False)
    return RunFolder.create(tmp_path / "runs", config)


@pytest.fixture
def course(monkeypatch: pytest.MonkeyPatch, constant_classifier: Callable[[Path, int], Path]) -> Course:
    """Training and export without Keras; each version answers with a class that its number says."""
    course = Course()

    def train(*_: object) -> Trained:
        course.trainings += 1
        return course.result

    def export(model: object, folder: RunFolder, repository: Path) -> Path:
        course.before_export()
        version = max(artifact.published_versions(repository / "tiny"), default=0) + 1
        version_dir = constant_classifier(repository, version)
        card = json.loads((version_dir / artifact.CARD).read_bytes())
        card["weights"]["source"] = f"the test; run {folder.name} ({folder.state.id})"
        (version_dir / artifact.CARD).write_text(json.dumps(card))
        course.after_export()
        return version_dir

    monkeypatch.setattr(run, "train", train)
    monkeypatch.setattr(publish, "_export", export)
    monkeypatch.setattr(publish, "best_network", lambda folder: Network())
    return course


def versions(folder: RunFolder) -> list[int]:
    return artifact.published_versions(Path(str(folder.config.repository)) / "tiny")


def carried_out(folder: RunFolder, data: Dataset, **options: Any) -> Finished:
    finished = carry_out(folder, data, Listener(), **options)
    assert finished is not None
    return finished


def test_a_version_is_published_and_measured(folder: RunFolder, data: Dataset, course: Course) -> None:
    listener = Listener()
    finished = carry_out(folder, data, listener)
    assert finished is not None
    assert versions(folder) == [1]
    assert (finished.answers["validation"].top1.count, finished.answers["validation"].top1.total) == (1, 3)
    assert finished.unreadable == {"one/0.png": "It is damaged."}
    assert finished.faults is None
    assert listener.told == ["version 1", "Loading tiny", "Evaluating validation images: 3"]
    assert (folder.state.status, folder.state.trained) == ("finished", True)
    assert folder.best.read_bytes() == b"weights"
    with folder.predictions("validation").open(encoding="utf-8") as file:
        assert sorted(row["label"] for row in csv.DictReader(file)) == sorted(["zero", "one", "two"])


def kill(*_: object, **__: object) -> None:
    raise Killed


def kill_in(target: object, name: str) -> Callable[[pytest.MonkeyPatch, Course], None]:
    return lambda patch, course: patch.setattr(target, name, kill)


def kill_around_export(where: str) -> Callable[[pytest.MonkeyPatch, Course], None]:
    return lambda patch, course: patch.setattr(course, where, kill)


@pytest.mark.parametrize(
    ("arrange", "trainings", "published"),
    [
        pytest.param(kill_in(run, "train"), 1, [], id="in training"),
        pytest.param(kill_in(Network, "save"), 2, [], id="while the weights are written"),
        pytest.param(kill_around_export("before_export"), 1, [], id="before the version is there"),
        pytest.param(kill_around_export("after_export"), 1, [1], id="when the version is there"),
        pytest.param(kill_in(run, "evaluate"), 1, [1], id="while it is measured"),
        pytest.param(kill_in(run, "write_answers"), 1, [1], id="while answers are written"),
    ],
)
@pytest.mark.usefixtures("course")
def test_a_killed_run_goes_on_and_publishes_once(
    folder: RunFolder,
    data: Dataset,
    course: Course,
    arrange: Callable[[pytest.MonkeyPatch, Course], None],
    trainings: int,
    published: list[int],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        arrange(patch, course)
        with pytest.raises(Killed):
            carry_out(folder, data, Listener())
    assert (versions(folder), folder.state.status) == (published, "running")
    carried_out(folder, data)
    assert versions(folder) == [1]
    assert course.trainings == trainings
    assert folder.state.status == "finished"


def test_a_finished_run_is_measured_again_and_not_published_again(
    folder: RunFolder, data: Dataset, course: Course
) -> None:
    carried_out(folder, data)
    folder.predictions("validation").unlink()
    carried_out(folder, data)
    assert (versions(folder), course.trainings) == ([1], 1)
    assert folder.predictions("validation").exists()


def test_two_runs_publish_a_version_each(folder: RunFolder, data: Dataset, course: Course) -> None:
    carried_out(folder, data)
    carried_out(RunFolder.create(folder.path.parent, folder.config), data)
    assert versions(folder) == [1, 2]


def test_ctrl_c_keeps_the_best_weights_and_the_run_goes_on(folder: RunFolder, data: Dataset, course: Course) -> None:
    course.result = Trained(course.result.model, INTERRUPTED)
    with pytest.raises(KeyboardInterrupt):
        carry_out(folder, data, Listener())
    assert (folder.state.status, folder.state.trained, versions(folder)) == ("interrupted", False, [])
    assert folder.best.exists()
    course.result = Trained(course.result.model)
    carried_out(folder, data)
    assert (folder.state.stopped, course.trainings, versions(folder)) == (None, 2, [1])


def test_the_best_weights_so_far_can_be_published_without_further_training(
    folder: RunFolder, data: Dataset, course: Course
) -> None:
    folder.checkpoints.mkdir()
    (folder.checkpoints / "best.keras").write_bytes(b"best so far")
    carried_out(folder, data, to_train=False)
    assert (folder.state.trained, folder.state.stopped) == (True, INTERRUPTED)
    assert (folder.best.read_bytes(), course.trainings, versions(folder)) == (b"best so far", 0, [1])
    assert not folder.checkpoints.exists()


def test_a_run_without_weights_has_nothing_to_publish(folder: RunFolder, data: Dataset, course: Course) -> None:
    with pytest.raises(ValueError, match="tiny-1 has no weights yet that could be published: go on with --resume"):
        carry_out(folder, data, Listener(), to_train=False)
    assert (folder.state.status, versions(folder)) == ("failed", [])


def test_a_failure_leaves_the_repository_as_it_is(
    folder: RunFolder, data: Dataset, course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("no image of the class one can be read")

    monkeypatch.setattr(run, "train", fail)
    with pytest.raises(ValueError, match="no image of the class one"):
        carry_out(folder, data, Listener())
    assert (folder.state.status, versions(folder)) == ("failed", [])


def test_without_a_repository_nothing_is_published_but_the_network_is_measured(
    folder: RunFolder, data: Dataset, course: Course
) -> None:
    config = folder.config.model_copy(update={"repository": None})
    unpublished = RunFolder.create(folder.path.parent, config)
    listener = Listener()
    finished = carry_out(unpublished, data, listener)
    assert finished is not None and finished.answers["validation"].top1.total == 3
    assert not any(told.startswith("version") for told in listener.told)
    assert not (folder.path.parent.parent / "models").exists()


def test_a_run_is_for_one_process_at_a_time(folder: RunFolder, data: Dataset, course: Course) -> None:
    with folder.locked(), pytest.raises(ValueError, match="tiny-1 is in use"):
        carry_out(folder, data, Listener())
    assert course.trainings == 0
