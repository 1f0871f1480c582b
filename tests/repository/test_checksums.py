"""Files of a published version that no longer match its card."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from keras_archs.repository import artifact
from keras_archs.repository.artifact import ArtifactError
from keras_archs.repository.checksums import verify
from tests.support.fake_runtime import publish


def alter_graph(version_dir: Path) -> None:
    (version_dir / artifact.SAVED_MODEL).write_bytes(b"y" * 1000)


def remove_graph(version_dir: Path) -> None:
    (version_dir / artifact.SAVED_MODEL).unlink()


def turn_graph_into_a_folder(version_dir: Path) -> None:
    remove_graph(version_dir)
    (version_dir / artifact.SAVED_MODEL).mkdir()


def turn_graph_into_a_pipe(version_dir: Path) -> None:
    remove_graph(version_dir)
    os.mkfifo(version_dir / artifact.SAVED_MODEL)  # opening a pipe that nobody writes to would wait for ever


def test_an_untouched_version_passes(tmp_path: Path) -> None:
    version_dir = publish(tmp_path, "net", 1)
    verify(version_dir, artifact.read_card(version_dir))


@pytest.mark.parametrize("file", ["assets/.DS_Store", "variables/.nfs0001", "assets/Thumbs.db", "saved_model.pb~"])
def test_a_hidden_file_in_a_version_does_not_matter(tmp_path: Path, file: str) -> None:
    version_dir = publish(tmp_path, "net", 1)
    (version_dir / file).parent.mkdir(exist_ok=True)
    (version_dir / file).touch()
    verify(version_dir, artifact.read_card(version_dir))


@pytest.mark.parametrize(
    ("change", "file"),
    [
        (alter_graph, "saved_model.pb"),
        (remove_graph, "saved_model.pb"),
        (turn_graph_into_a_folder, "saved_model.pb"),
        (turn_graph_into_a_pipe, "saved_model.pb"),
    ],
)
def test_an_altered_or_missing_file_is_named(tmp_path: Path, change: Callable[[Path], None], file: str) -> None:
    version_dir = publish(tmp_path, "net", 1)
    change(version_dir)
    with pytest.raises(ArtifactError, match=rf"version 1 of 'net' has changed .*: {file} missing or altered"):
        verify(version_dir, artifact.read_card(version_dir))


def test_a_card_that_does_not_name_the_graph_is_refused(tmp_path: Path) -> None:
    version_dir = publish(tmp_path, "net", 1)
    card = replace(artifact.read_card(version_dir), checksums={})
    with pytest.raises(ArtifactError, match=r"no checksum of saved_model\.pb"):
        verify(version_dir, card)


def test_a_file_that_cannot_be_read_is_named_without_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version_dir = publish(tmp_path, "net", 1)
    card = artifact.read_card(version_dir)

    def denied(path: Path, *_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(ArtifactError) as failure:
        verify(version_dir, card)
    assert str(failure.value) == "saved_model.pb of version 1 of 'net' cannot be read: Permission denied"
