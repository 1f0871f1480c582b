"""`keras-archs export`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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
    expected = {"name": "efficientnet-lite0", "version": 3, "path": str(newest), "exported": False, "served": True}
    assert json.loads(capsys.readouterr().out) == expected
    assert run([*arguments, "--version", "1"]) == 0
    assert "version 1 exists already" in capsys.readouterr().out
    assert "--weights imagenet" in failure(capsys, [*arguments, "--version", "2"])


@pytest.mark.parametrize(
    ("policy", "hidden", "reason"),
    [
        ("specific { versions: 1 }", 3, "the policy specific=1 of efficientnet-lite0 in models.config serves 1;"),
        ("latest { num_versions: 1 }", 1, "the policy latest=1 of efficientnet-lite0 in models.config serves 3;"),
        ("specific { versions: 9 }", 1, "serves no version;"),
    ],
)
def test_a_version_that_models_config_does_not_serve_is_mentioned(
    capsys: Captured, tmp_path: Path, policy: str, hidden: int, reason: str
) -> None:
    for version in (1, 3):
        saved_model = tmp_path / "efficientnet-lite0" / str(version) / "saved_model.pb"
        saved_model.parent.mkdir(parents=True)
        saved_model.touch()
    (tmp_path / "models.config").write_text(
        f"model_config_list {{ config {{ name: 'efficientnet-lite0' model_version_policy {{ {policy} }} }} }}"
    )
    arguments = ["export", "efficientnet-lite0", "--repository", str(tmp_path), "--if-missing", "--version"]
    assert run([*arguments, str(hidden)]) == 0
    mentioned = capsys.readouterr().err
    assert f"version {hidden} of efficientnet-lite0 is not served: " in mentioned and reason in mentioned
    assert run([*arguments, str(hidden), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["served"] is False


def test_refusals_leave_the_repository_empty(capsys: Captured, tmp_path: Path) -> None:
    repository = ["--repository", str(tmp_path)]
    assert "--allow-untrained" in failure(capsys, ["export", "efficientnet-b0", *repository])
    assert "--version" in failure(capsys, ["export", "efficientnet-b0", *repository, "--version", "0"])
    assert "'../x'" in failure(capsys, ["export", "efficientnet-b0", *repository, "--name", "../x"])
    assert list(tmp_path.iterdir()) == []
