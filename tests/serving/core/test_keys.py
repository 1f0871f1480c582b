"""Keys are taken from their file, and taken again when it changes."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from keras_archs import keys
from serving.core.keys import Keys

NOW = datetime.now(UTC)


def key(secret: str, *models: str, expires: datetime | None = None, requests_per_minute: int | None = None) -> keys.Key:
    return keys.Key(
        keys.sha256_of(secret), models or ("*",), NOW, requests_per_minute=requests_per_minute, expires=expires
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    keys.add(path, "team-a", key("secret a"))
    return path


def name_of(known: Keys, secret: str) -> str | None:
    caller = known.known(secret)
    return caller.name if caller else None


def test_a_key_names_its_caller_with_its_models_and_limits(path: Path) -> None:
    keys.add(path, "team-b", key("secret b", "tiny", "small", requests_per_minute=5))
    known = Keys(path, poll_seconds=1)
    everything, limited = known.known("secret a"), known.known("secret b")
    assert everything and limited
    assert (everything.name, everything.models, everything.requests_per_minute) == ("team-a", None, None)
    assert (limited.name, limited.models, limited.requests_per_minute) == ("team-b", {"tiny", "small"}, 5)
    assert (everything.weight, limited.weight) == (1, 1)
    assert known.known("secret c") is None


def test_what_is_stored_of_a_key_is_no_key(path: Path) -> None:
    assert "secret a" not in path.read_text()
    assert name_of(Keys(path, poll_seconds=1), keys.sha256_of("secret a")) is None


def test_a_key_is_refused_once_it_has_expired(path: Path) -> None:
    keys.add(path, "old", key("old", expires=NOW - timedelta(seconds=1)))
    keys.add(path, "young", key("young", expires=NOW + timedelta(days=1)))
    known = Keys(path, poll_seconds=1)
    assert name_of(known, "old") is None
    assert name_of(known, "young") == "young"


def test_new_and_revoked_keys_take_effect_while_the_gateway_runs(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def change() -> None:
        known = Keys(path, poll_seconds=0.01)
        known.start()
        keys.add(path, "team-b", key("secret b"))
        keys.remove(path, "team-a")
        while name_of(known, "secret b") is None:  # noqa: ASYNC110  keys do not announce that they were read
            await asyncio.sleep(0.01)
        assert name_of(known, "secret a") is None
        await known.close()

    with caplog.at_level(logging.INFO):
        asyncio.run(asyncio.wait_for(change(), 20))
    assert "added team-b; removed team-a" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("damage", ["", "{", "[]", "\xff", '{"a": {}}', '{"a": {"sha256": "0"}}'])
def test_a_damaged_file_changes_nothing_until_it_is_whole(
    path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    known, content = Keys(path, poll_seconds=1), path.read_text()
    path.write_text(damage, encoding="latin-1")
    for _ in range(3):
        asyncio.run(known.reload())
    assert name_of(known, "secret a") == "team-a"
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1
    path.unlink()
    asyncio.run(known.reload())
    assert name_of(known, "secret a") == "team-a"
    path.write_text(content.replace("team-a", "team-b"))
    asyncio.run(known.reload())
    assert name_of(known, "secret a") == "team-b"


def test_a_gateway_does_not_start_with_a_file_that_is_damaged_or_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Keys(tmp_path / "keys.json", poll_seconds=1)
    (tmp_path / "keys.json").write_text("{")
    with pytest.raises(keys.KeysError, match=r"keys\.json is not valid JSON"):
        Keys(tmp_path / "keys.json", poll_seconds=1)


def test_a_mounted_secret_of_kubernetes_is_a_folder_with_a_file_for_each_key(tmp_path: Path) -> None:
    def publish(revision: str, **stored: str) -> None:
        """Replace the content as Kubernetes does: a new folder, to which a link is moved atomically."""
        folder = tmp_path / f"..{revision}"
        folder.mkdir()
        for name, secret in stored.items():
            (folder / name).write_text(
                json.dumps({"sha256": keys.sha256_of(secret), "models": ["*"], "created": NOW.isoformat()})
            )
            link = tmp_path / name
            link.unlink(missing_ok=True)
            link.symlink_to(f"..data/{name}")
        (tmp_path / "..new").symlink_to(folder.name)
        (tmp_path / "..new").replace(tmp_path / "..data")

    publish("1", alice="first")
    known = Keys(tmp_path, poll_seconds=1)
    assert name_of(known, "first") == "alice"
    publish("2", alice="second", bob="third")
    asyncio.run(known.reload())
    assert [name_of(known, secret) for secret in ("first", "second", "third")] == [None, "alice", "bob"]
