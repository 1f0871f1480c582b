"""Files of a published version that no longer match its card."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from keras_archs.repository import artifact
from keras_archs.repository.artifact import ArtifactError
from keras_archs.repository.checksums import verify
from tests.support.fake_runtime import publish


def add_asset(version_dir: Path) -> None:
    (version_dir / "assets").mkdir()
    (version_dir / "assets" / "labels.txt").touch()


def alter_graph(version_dir: Path) -> None:
    (version_dir / artifact.SAVED_MODEL).write_bytes(b"y" * 1000)


def remove_graph(version_dir: Path) -> None:
    (version_dir / artifact.SAVED_MODEL).unlink()


def test_an_untouched_version_passes(tmp_path: Path) -> None:
    version_dir = publish(tmp_path, "net", 1)
    verify(version_dir, artifact.read_card(version_dir))


@pytest.mark.parametrize(
    ("change", "file"),
    [(add_asset, "assets/labels.txt"), (alter_graph, "saved_model.pb"), (remove_graph, "saved_model.pb")],
)
def test_an_added_altered_or_missing_file_is_named(tmp_path: Path, change: Callable[[Path], None], file: str) -> None:
    version_dir = publish(tmp_path, "net", 1)
    change(version_dir)
    with pytest.raises(ArtifactError, match=rf"version 1 of 'net' has changed .*: {file} missing or altered"):
        verify(version_dir, artifact.read_card(version_dir))
