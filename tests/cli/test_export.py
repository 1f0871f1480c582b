"""`keras-archs export`."""

from __future__ import annotations

import json
from pathlib import Path

from keras_archs.cli.app import run
from tests.support.command_line import Captured, failure


def test_if_missing_does_nothing_for_a_published_version(capsys: Captured, tmp_path: Path) -> None:
    for version in (1, 3):
        saved_model = tmp_path / "efficientnet-lite0" / str(version) / "saved_model.pb"
        saved_model.parent.mkdir(parents=True)
        saved_model.touch()
    arguments = ["export", "efficientnet-lite0", "--repository", str(tmp_path), "--if-missing"]
    newest = tmp_path / "efficientnet-lite0" / "3"
    assert run(arguments) == 0
    assert capsys.readouterr().out == f"efficientnet-lite0 version 3 exists already: {newest}\n"
    assert run([*arguments, "--json"]) == 0
    expected = {"name": "efficientnet-lite0", "version": 3, "path": str(newest), "exported": False}
    assert json.loads(capsys.readouterr().out) == expected
    assert run([*arguments, "--version", "1"]) == 0
    assert "version 1 exists already" in capsys.readouterr().out
    assert "--weights imagenet" in failure(capsys, [*arguments, "--version", "2"])


def test_refusals_leave_the_repository_empty(capsys: Captured, tmp_path: Path) -> None:
    repository = ["--repository", str(tmp_path)]
    assert "--allow-untrained" in failure(capsys, ["export", "efficientnet-b0", *repository])
    assert "--version" in failure(capsys, ["export", "efficientnet-b0", *repository, "--version", "0"])
    assert "'../x'" in failure(capsys, ["export", "efficientnet-b0", *repository, "--name", "../x"])
    assert list(tmp_path.iterdir()) == []
