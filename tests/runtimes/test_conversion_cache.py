"""A cached conversion is used only if it is what was written, and removed only if nobody can need it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from keras_archs.repository import artifact
from keras_archs.repository.artifact_card import ArtifactCard
from keras_archs.runtimes.conversion_cache import UNUSED_SECONDS, ConversionCache
from tests.support.fake_runtime import publish

SIGNATURE = "serving_default"


def write(path: Path) -> None:
    path.write_text("graph")
    path.with_suffix(".bin").write_bytes(bytes(1000))


@pytest.fixture
def version_dir(tmp_path: Path) -> Path:
    return publish(tmp_path / "models", "net", 1)


@pytest.fixture
def card(version_dir: Path) -> ArtifactCard:
    return artifact.read_card(version_dir)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def stored(folder: Path, version_dir: Path, release: str = "1") -> Path:
    path = ConversionCache(folder, release).store(version_dir, artifact.read_card(version_dir), SIGNATURE, write)
    assert path is not None
    return path


def make_unused(folder: Path) -> None:
    """Let the last use of all files be as long ago as the cache waits."""
    past = time.time() - UNUSED_SECONDS - 1
    for entry in folder.iterdir():
        os.utime(entry, (past, past))


def test_a_conversion_is_found_by_the_content_of_its_version(
    folder: Path, version_dir: Path, card: ArtifactCard, tmp_path: Path
) -> None:
    cache = ConversionCache(folder, "1")
    assert cache.find(card, SIGNATURE) is None
    path = stored(folder, version_dir)
    assert cache.find(card, SIGNATURE) == path
    assert cache.find(card, "explain") is None
    assert ConversionCache(folder, "2").find(card, SIGNATURE) is None
    another = publish(tmp_path / "models", "net", 2, kilobytes=2)
    assert cache.find(artifact.read_card(another), SIGNATURE) is None


def change_one_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def put_a_folder_in_its_place(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a changed weight": lambda path: change_one_byte(path.with_suffix(".bin")),
    "another graph": lambda path: path.write_text("another model's graph"),
    "cut weights": lambda path: os.truncate(path.with_suffix(".bin"), 10),
    "no weights": lambda path: path.with_suffix(".bin").unlink(),
    "no record": lambda path: path.with_suffix(".json").unlink(),
    "a damaged record": lambda path: path.with_suffix(".json").write_text("{"),
    "a record of another form": lambda path: path.with_suffix(".json").write_text('["x"]'),
    "an unknown record": lambda path: path.with_suffix(".json").write_text('{"files": {}}'),
    "a folder in place of a file": put_a_folder_in_its_place,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_conversion_is_not_used(folder: Path, version_dir: Path, card: ArtifactCard, damage: str) -> None:
    DAMAGE[damage](stored(folder, version_dir))
    assert ConversionCache(folder, "1").find(card, SIGNATURE) is None


def failing(error: Exception) -> Callable[[Path], None]:
    def fail(path: Path) -> None:
        path.write_text("half")
        raise error

    return fail


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), RuntimeError("basic_ios::clear: iostream error")]
)
def test_a_conversion_that_cannot_be_written_leaves_nothing(
    folder: Path, version_dir: Path, card: ArtifactCard, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    cache = ConversionCache(folder, "1")
    assert cache.store(version_dir, card, SIGNATURE, failing(error)) is None
    assert "the conversion of net cannot be cached" in caplog.text
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("place", ["a file", "below a file", "below /proc"])
def test_a_folder_that_cannot_be_written_is_no_error(
    tmp_path: Path, version_dir: Path, card: ArtifactCard, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    folder = {"a file": tmp_path / "file", "below a file": tmp_path / "file" / "cache", "below /proc": Path("/proc/x")}
    cache = ConversionCache(folder[place], "1")
    assert cache.find(card, SIGNATURE) is None
    assert cache.store(version_dir, card, SIGNATURE, write) is None
    assert "the conversion of net cannot be cached" in caplog.text


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_conversions_of_removed_and_republished_versions_are_removed(folder: Path, tmp_path: Path) -> None:
    repository = tmp_path / "models"
    removed, replaced, kept = (publish(repository, "net", number, kilobytes=number) for number in (1, 2, 3))
    stale = {stored(folder, version) for version in (removed, replaced)}
    path = stored(folder, kept)
    shutil.rmtree(removed)
    shutil.rmtree(replaced)
    publish(repository, "net", 2, kilobytes=20)
    make_unused(folder)
    newest = stored(folder, publish(repository, "net", 4, kilobytes=4))
    left = {path.name for path in folder.glob("*.xml")}
    assert left == {path.name, newest.name}
    assert len(names(folder)) == 6  # nor their weights and records
    assert not stale & set(folder.iterdir())


def test_conversions_by_other_releases_are_removed(folder: Path, version_dir: Path) -> None:
    old = stored(folder, version_dir, release="1")
    make_unused(folder)
    new = stored(folder, version_dir, release="2")
    assert not old.exists()
    assert new.exists()


def test_parts_of_interrupted_conversions_are_removed(folder: Path, version_dir: Path, tmp_path: Path) -> None:
    without_record = stored(folder, version_dir)
    without_record.with_suffix(".json").unlink()
    (folder / ".incoming-x").mkdir()
    (folder / ".incoming-x" / "half.xml").write_text("")
    make_unused(folder)
    os.utime(folder / ".incoming-x", (0, 0))
    path = stored(folder, publish(tmp_path / "models", "net", 2, kilobytes=2))
    assert names(folder) == {path.with_suffix(suffix).name for suffix in (".xml", ".bin", ".json")}


def test_what_was_used_recently_stays(folder: Path, version_dir: Path, card: ArtifactCard) -> None:
    old = stored(folder, version_dir, release="1")
    make_unused(folder)
    assert ConversionCache(folder, "1").find(card, SIGNATURE)  # a gateway of the older release starts
    stored(folder, version_dir, release="2")
    assert old.exists()


def test_what_others_may_need_stays(folder: Path, version_dir: Path, tmp_path: Path) -> None:
    elsewhere = publish(tmp_path / "other models", "net", 1, kilobytes=5)
    others = stored(folder, elsewhere)
    shutil.rmtree(elsewhere.parents[1])  # another gateway's repository is not mounted here
    (folder / "notes.txt").write_text("not written by the cache")
    make_unused(folder)
    stored(folder, version_dir)
    assert others.exists()
    assert (folder / "notes.txt").exists()


def test_a_version_whose_card_cannot_be_read_keeps_its_conversion(
    folder: Path, version_dir: Path, tmp_path: Path
) -> None:
    path = stored(folder, version_dir)
    (version_dir / artifact.CARD).write_text("{")
    make_unused(folder)
    stored(folder, publish(tmp_path / "models", "net", 2, kilobytes=2))
    assert path.exists()
