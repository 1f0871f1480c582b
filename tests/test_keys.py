"""The file format of keys."""

from __future__ import annotations

import json
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from keras_archs import keys

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
KEY = keys.Key("0" * 64, ("*",), NOW)
FIELDS: dict[str, Any] = {"sha256": "0" * 64, "models": ["*"], "created": "2026-11-29T12:00:00Z"}


def test_keys_are_recognisable_and_no_two_are_alike() -> None:
    made = {keys.new_secret() for _ in range(1000)}
    assert len(made) == 1000
    assert all(re.fullmatch("keras_archs_[0-9a-f]{40}", secret) for secret in made)


@pytest.mark.parametrize("as_folder", [False, True])
def test_keys_are_read_as_they_were_added(tmp_path: Path, as_folder: bool) -> None:
    path = tmp_path / "keys"
    if as_folder:
        path.mkdir()
    full = keys.Key("1" * 64, ("a", "b"), NOW, requests_per_minute=5, bytes_per_minute=10**9, expires=NOW, weight=2)
    keys.add(path, "plain", KEY)
    keys.add(path, "full", full)
    assert keys.read(path) == {"plain": KEY, "full": full}
    with pytest.raises(keys.KeysError, match="a key full already"):
        keys.add(path, "full", KEY)
    keys.remove(path, "plain")
    assert keys.read(path) == {"full": full}
    with pytest.raises(keys.KeysError, match="no key plain; it has full"):
        keys.remove(path, "plain")


def test_only_the_owner_can_read_a_new_file_and_an_old_one_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    keys.add(path, "a", KEY)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    keys.add(path, "b", KEY)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [file.name for file in tmp_path.iterdir()] == ["keys.json"]


def test_no_key_is_lost_when_several_are_added_at_once(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: keys.add(path, f"key-{number}", KEY), range(40)))
    assert len(keys.read(path)) == 40


@pytest.mark.parametrize("name", ["", "a/b", "../a", ".hidden", "a b", "a\n", "é", "a:b", "a" * 65])
def test_names_are_safe_as_names_of_files_and_in_logs(tmp_path: Path, name: str) -> None:
    with pytest.raises(keys.KeysError, match="a name of a key is"):
        keys.add(tmp_path, name, KEY)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sha256": "0"}, "sha256 of key a is not 64 hexadecimal digits"),
        ({"sha256": None}, "sha256 of key a is not 64 hexadecimal digits"),
        ({"models": []}, "models of key a is not a list of names"),
        ({"models": "tiny"}, "models of key a is not a list of names"),
        ({"models": [1]}, "models of key a is not a list of names"),
        ({"requests_per_minute": 0}, "requests_per_minute of key a is not a whole number above 0"),
        ({"bytes_per_minute": True}, "bytes_per_minute of key a is not a whole number above 0"),
        ({"expires": "2027-01-01T00:00:00"}, "expires of key a is not a date and time with a time zone"),
        ({"weight": 0}, "weight of key a is not a number above 0"),
        ({"weight": 10**400}, "weight of key a is not a number above 0"),
        ({"weight": True}, "weight of key a is not a number above 0"),
        ({"expires": "soon"}, "expires of key a is not a date and time with a time zone"),
        ({"created": None}, "created of key a is not a date and time with a time zone"),
        ({"expire": "2027-01-01T00:00:00Z"}, "key a is not an object with the fields sha256, models, created"),
    ],
)
def test_a_field_that_is_not_what_it_should_be_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"a": FIELDS}))
    assert keys.read(path) == {"a": KEY}
    path.write_text(json.dumps({"a": FIELDS | change}))
    with pytest.raises(keys.KeysError, match=message):
        keys.read(path)
