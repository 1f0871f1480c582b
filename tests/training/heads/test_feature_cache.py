"""Cached features are those that were stored, whatever happens to the files."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest

from keras_archs.training.heads.feature_cache import FeatureCache, default_folder, key_of

FEATURES = {key_of(bytes([number])): np.full(3, number, np.float32) for number in range(5)}


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    return FeatureCache(tmp_path, "network", 3)


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*"))


def test_features_are_found_by_the_content_of_the_image(cache: FeatureCache) -> None:
    assert cache.is_empty()
    cache.store(FEATURES)
    assert not cache.is_empty()
    found = cache.find([key_of(bytes([2])), key_of(bytes([4])), key_of(b"another image")])
    assert {key: row.tolist() for key, row in found.items()} == {
        key_of(bytes([2])): [2, 2, 2],
        key_of(bytes([4])): [4, 4, 4],
    }


def test_the_features_of_each_network_are_apart(cache: FeatureCache, tmp_path: Path) -> None:
    cache.store(FEATURES)
    assert FeatureCache(tmp_path, "another network", 3).find(FEATURES) == {}


def test_several_processes_may_store_the_same_images(cache: FeatureCache, tmp_path: Path) -> None:
    for writer in (cache, FeatureCache(tmp_path, "network", 3)):
        writer.store(FEATURES)
    assert len(cache.find(FEATURES)) == len(FEATURES)


@pytest.mark.parametrize("position", [0.0, 0.1, 0.3, 0.5, 0.8, 0.99])
def test_a_damaged_file_is_reported_and_removed(
    cache: FeatureCache, tmp_path: Path, position: float, caplog: pytest.LogCaptureFixture
) -> None:
    cache.store(FEATURES)
    (path,) = files(tmp_path)
    content = bytearray(path.read_bytes())
    content[int(position * len(content))] ^= 0xFF
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        found = cache.find(FEATURES)
    assert all((found[key] == FEATURES[key]).all() for key in found)
    if len(found) < len(FEATURES):
        assert "damaged and are computed again" in caplog.text
        assert files(tmp_path) == []


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6, 0.95])
def test_a_file_that_ends_early_is_removed(cache: FeatureCache, tmp_path: Path, share: float) -> None:
    cache.store(FEATURES)
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert cache.find(FEATURES) == {}
    assert files(tmp_path) == []


def test_features_of_another_length_are_not_used(cache: FeatureCache, tmp_path: Path) -> None:
    cache.store(FEATURES)
    assert FeatureCache(tmp_path, "network", 4).find(FEATURES) == {}


def test_files_that_were_not_used_for_longest_go_first(tmp_path: Path) -> None:
    names = ("first", "second", "third")
    for age, name in enumerate(names):
        FeatureCache(tmp_path, name, 3).store(FEATURES)
        (path,) = (tmp_path / name).iterdir()
        os.utime(path, (age, age))
    size = path.stat().st_size
    FeatureCache(tmp_path, "first", 3).find(FEATURES)  # used now
    FeatureCache(tmp_path, "fourth", 3, limit=3 * size).store(FEATURES)
    assert [path.parent.name for path in files(tmp_path)] == ["first", "fourth", "third"]


def test_a_folder_that_cannot_be_written_is_no_cache(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("a file where the folder should be")
    cache = FeatureCache(tmp_path / "file", "network", 3)
    cache.store(FEATURES)
    assert "cannot be cached" in caplog.text
    assert cache.is_empty()
    assert cache.find(FEATURES) == {}


def test_keras_home_moves_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "keras_archs" / "features"
