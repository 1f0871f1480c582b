"""`keras-archs keys`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from keras_archs import keys
from keras_archs.cli.app import run
from tests.support.command_line import Captured, failure


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "keys.json"
    monkeypatch.setenv("KERAS_ARCHS_KEYS", str(path))
    return path


def made(captured: Captured, *arguments: str) -> str:
    """Make a key, and return it."""
    assert run(["keys", "new", *arguments]) == 0
    return captured.readouterr().out.strip()


def test_new_prints_the_key_alone_and_stores_its_hash(path: Path, capsys: Captured) -> None:
    secret = made(capsys, "team-a")
    (stored,) = keys.read(path).values()
    assert stored.sha256 == keys.sha256_of(secret)
    assert secret not in path.read_text()
    assert stored.models == ("*",)
    assert stored.expires is None


def test_a_key_may_be_limited(path: Path, capsys: Captured) -> None:
    limits = ("--requests-per-minute", "600", "--mb-per-minute", "1.5", "--days", "30", "--weight", "2")
    made(capsys, "team-a", "--model", "tiny", "--model", "small", *limits)
    key = keys.read(path)["team-a"]
    assert (key.models, key.requests_per_minute, key.bytes_per_minute) == (("tiny", "small"), 600, 1_500_000)
    assert key.weight == 2
    assert key.expires
    assert (key.expires - key.created).days == 30


def test_list_shows_what_a_key_may_do_but_neither_keys_nor_hashes(path: Path, capsys: Captured) -> None:
    secret = made(capsys, "team-a", "--model", "tiny", "--requests-per-minute", "600")
    assert run(["keys", "list"]) == 0
    assert run(["keys", "list", "--json"]) == 0
    shown = capsys.readouterr().out
    assert "team-a" in shown
    assert secret not in shown
    assert keys.sha256_of(secret) not in shown
    (row,) = json.loads(shown[shown.index("[") :])
    assert (row["models"], row["requests_per_minute"], row["expired"]) == (["tiny"], 600, False)


def test_revoke_removes_a_key_and_no_other(path: Path, capsys: Captured) -> None:
    made(capsys, "team-a")
    made(capsys, "team-b")
    assert run(["keys", "revoke", "team-a"]) == 0
    assert list(keys.read(path)) == ["team-b"]
    capsys.readouterr()
    assert "no key team-a; it has team-b" in failure(capsys, ["keys", "revoke", "team-a"])


def test_mistakes_are_explained_in_one_line(path: Path, capsys: Captured) -> None:
    assert "No such file" in failure(capsys, ["keys", "list"])
    assert "letters, digits" in failure(capsys, ["keys", "new", "team a"])
    path.write_text("{")
    assert "keys.json is not valid JSON" in failure(capsys, ["keys", "list"])


def test_keys_are_made_without_the_packages_of_the_gateway(path: Path) -> None:
    script = (
        "import sys; sys.modules |= dict.fromkeys(['serving', 'fastapi', 'uvicorn', 'joserfc', 'keras', 'tensorflow']);"
        "from keras_archs.cli.app import run; sys.exit(run(['keys', 'new', 'team-a']))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(keys.PREFIX)
