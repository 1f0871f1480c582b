"""Folders of models and versions, as people and other programs leave them behind."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from keras_archs.repository import artifact
from keras_archs.repository.artifact import NotPublishedError, model_folders, read_model_folder


def make_version(model_dir: Path, name: str) -> Path:
    folder = model_dir / name
    folder.mkdir(parents=True)
    (folder / artifact.SAVED_MODEL).touch()
    return folder


def make_circle(path: Path) -> None:
    """Make a link to itself, which nobody can open; unlike a folder without permissions, not even root."""
    path.symlink_to(path)


def test_the_names_of_versions_are_those_of_tensorflow_serving(tmp_path: Path) -> None:
    for name in ("1", "12", "00000123", "0", str(artifact.MAX_VERSION)):
        make_version(tmp_path, name)
    folder = read_model_folder(tmp_path)
    assert list(folder.versions) == [0, 1, 12, 123, artifact.MAX_VERSION]
    assert folder.versions[123] == tmp_path / "00000123"
    assert folder.problems == ()
    assert artifact.published_versions(tmp_path) == [0, 1, 12, 123, artifact.MAX_VERSION]


@pytest.mark.parametrize(
    "name", ["+1", " 1", "-3", "1.0", "1e3", "\N{FULLWIDTH DIGIT ONE}", "v1", "latest", str(artifact.MAX_VERSION + 1)]
)
def test_a_version_with_another_name_is_not_served_and_mentioned(tmp_path: Path, name: str) -> None:
    make_version(tmp_path, "1")
    make_version(tmp_path, name)
    folder = read_model_folder(tmp_path)
    assert list(folder.versions) == [1]
    (problem,) = folder.problems
    assert repr(name) in problem and "a number from 0 to 9223372036854775807" in problem


def test_of_two_folders_with_one_number_the_last_in_alphabetical_order_is_served(tmp_path: Path) -> None:
    for name in ("1", "01", "001"):
        make_version(tmp_path, name)
    folder = read_model_folder(tmp_path)
    assert folder.versions == {1: tmp_path / "1"}
    assert folder.problems == ("'001' is not served: version 1 is '01'", "'01' is not served: version 1 is '1'")


def test_folders_without_a_saved_model_are_no_versions(tmp_path: Path) -> None:
    make_version(tmp_path, "1")
    (tmp_path / "2").mkdir()  # half copied
    (tmp_path / "3").touch()  # a file
    (tmp_path / "4").symlink_to(tmp_path / "nowhere")
    (tmp_path / "5" / artifact.SAVED_MODEL).mkdir(parents=True)
    folder = read_model_folder(tmp_path)
    assert list(folder.versions) == [1]
    assert [problem.partition(" is not served")[0] for problem in folder.problems] == [
        f"version {version}" for version in (2, 3, 4, 5)
    ]


def test_a_saved_model_outside_a_version_is_mentioned(tmp_path: Path) -> None:
    (tmp_path / artifact.SAVED_MODEL).touch()
    (problem,) = read_model_folder(tmp_path).problems
    assert problem.startswith("'saved_model.pb' is not served: the name of a version is")


def test_hidden_and_other_entries_of_a_model_do_not_matter(tmp_path: Path) -> None:
    make_version(tmp_path, "1")
    make_version(tmp_path, ".incoming-2")
    for name in (".DS_Store", "README.md", "notes", os.fsdecode(b"\xff")):
        (tmp_path / name).mkdir()
    folder = read_model_folder(tmp_path)
    assert (list(folder.versions), folder.problems) == ([1], ())


def test_an_unreadable_version_is_mentioned_and_the_others_are_found(tmp_path: Path) -> None:
    make_version(tmp_path, "1")
    make_circle(tmp_path / "2")
    folder = read_model_folder(tmp_path)
    assert list(folder.versions) == [1]
    assert folder.unreadable == {2: tmp_path / "2"}
    assert folder.problems == (f"version 2 cannot be read: {os.strerror(errno.ELOOP)}",)


def test_folders_that_cannot_be_read_do_not_hide_the_other_models(tmp_path: Path) -> None:
    make_version(tmp_path / "net", "1")
    make_circle(tmp_path / "circle")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    make_version(tmp_path / os.fsdecode(b"\xff"), "1")
    folders = model_folders(tmp_path)
    assert sorted(folders) == ["circle", "dangling", "net"]
    assert list(folders["net"].versions) == [1]
    assert not folders["circle"].is_readable
    assert folders["dangling"].problems == ("its folder is a link that leads nowhere",)
    assert artifact.published_models(tmp_path) == {"net": [1]}


def test_a_folder_may_vanish_while_the_repository_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_version(tmp_path / "net", "1")
    make_version(tmp_path / "vanishing", "1")
    read = artifact.read_model_folder

    def late(model_dir: Path) -> artifact.ModelFolder:
        shutil.rmtree(tmp_path / "vanishing", ignore_errors=True)
        return read(model_dir)

    monkeypatch.setattr(artifact, "read_model_folder", late)
    assert list(model_folders(tmp_path)) == ["net"]


def test_a_version_is_found_in_a_folder_with_leading_zeros(tmp_path: Path) -> None:
    folder = make_version(tmp_path / "net", "00000123")
    make_version(tmp_path / "net", "0")
    assert artifact.find_version(tmp_path, "net") == artifact.find_version(tmp_path, "net", 123) == folder
    assert artifact.find_version(tmp_path, "net", 0) == tmp_path / "net" / "0"


def test_a_model_without_a_version_that_can_be_read_is_reported_with_the_reason(tmp_path: Path) -> None:
    make_circle(tmp_path / "net")
    with pytest.raises(NotPublishedError, match=r"no model 'net' .*its folder cannot be read.*; published: none"):
        artifact.find_versions(tmp_path, "net")
