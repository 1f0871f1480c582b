"""`keras-archs repo`: policies and labels in `models.config`, and what an edit keeps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from keras_archs.cli.app import run
from keras_archs.repository import artifact, models_config
from keras_archs.repository.models_config import CONFIG
from serving.core.repository import ModelEntry, scan
from tests.support.command_line import Captured, failure


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with versions 1 to 3 of `net`, and version 1 of `other`."""
    for name, version in (("net", 1), ("net", 2), ("net", 3), ("other", 1)):
        folder = tmp_path / name / str(version)
        folder.mkdir(parents=True)
        (folder / artifact.SAVED_MODEL).touch()
    return tmp_path


def repo(repository: Path, *arguments: str) -> None:
    assert run(["repo", *arguments, "--repository", str(repository)]) == 0


def refusal(captured: Captured, repository: Path, *arguments: str) -> str:
    """Run a command that must fail and leave `models.config` unchanged; return its error message."""
    before = {path: path.read_bytes() for path in repository.glob("*config*")}
    message = failure(captured, ["repo", *arguments, "--repository", str(repository)])
    assert {path: path.read_bytes() for path in repository.glob("*config*")} == before
    return message


def test_labels_can_be_set_moved_and_removed(repository: Path) -> None:
    repo(repository, "label", "net", "stable=1", "canary=3")
    assert scan(repository).models["net"].labels == {"stable": 1, "canary": 3}
    repo(repository, "label", "net", "stable=3", "canary=")
    assert scan(repository).models["net"].labels == {"stable": 3}
    repo(repository, "label", "net", "stable=1")  # rolling back
    assert scan(repository).models["net"].labels == {"stable": 1}


def test_policies_select_the_served_versions(repository: Path) -> None:
    for policy, served in (("latest=1", (3,)), ("latest=2", (2, 3)), ("specific=3,1", (1, 3)), ("all", (1, 2, 3))):
        repo(repository, "policy", "net", policy)
        assert scan(repository).models["net"].versions == served


def test_the_first_edit_keeps_serving_the_other_models(repository: Path) -> None:
    before = scan(repository).models
    repo(repository, "policy", "net", "latest=1")
    assert scan(repository).models == {"net": ModelEntry("net", (3,)), "other": before["other"]}


def test_a_removed_model_is_served_again_after_a_policy(repository: Path) -> None:
    repo(repository, "remove", "net")
    assert set(scan(repository).models) == {"other"}
    repo(repository, "remove", "other")
    assert scan(repository).models == {}
    repo(repository, "policy", "net", "latest=1")
    assert scan(repository).models == {"net": ModelEntry("net", (3,))}


def test_new_entries_have_the_path_on_tensorflow_servings_machine(repository: Path) -> None:
    repo(repository, "policy", "net", "all", "--served-from", "/models")
    repo(repository, "remove", "other")
    repo(repository, "label", "other", "stable=1")  # the path follows that of the first entry
    config = models_config.read(repository)
    assert config is not None
    assert {model.name: model.base_path for model in config.model_config_list.config} == {
        "net": "/models/net",
        "other": "/models/other",
    }
    assert {model.model_platform for model in config.model_config_list.config} == {"tensorflow"}


def test_an_edit_keeps_comments_paths_and_unrelated_fields(repository: Path) -> None:
    (repository / CONFIG).write_text(
        "# Ours.\n\n# Do not touch.\nmodel_config_list { config { name: 'net' base_path: 's3://elsewhere/net'"
        " model_platform: 'tensorflow' logging_config { sampling_config { sampling_rate: 0.5 } } } }"
    )
    repo(repository, "label", "net", "stable=3")
    text = (repository / CONFIG).read_text()
    assert text.startswith("# Ours.\n\n# Do not touch.\nmodel_config_list {")
    config = models_config.read(repository)
    assert config is not None
    (entry,) = config.model_config_list.config
    assert entry.base_path == "s3://elsewhere/net"
    assert entry.logging_config.sampling_config.sampling_rate == 0.5


def test_list_shows_versions_policies_and_labels(repository: Path, capsys: Captured) -> None:
    repo(repository, "policy", "net", "latest=2")
    repo(repository, "label", "net", "stable=2")
    repo(repository, "remove", "other")
    capsys.readouterr()
    repo(repository, "list")
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["model", "versions", "policy", "served", "labels"],
        ["net", "1,", "2,", "3", "latest=2", "2,", "3", "stable=2"],
        ["other", "1", "not", "served", "none", "none"],
    ]
    repo(repository, "list", "--json")
    assert json.loads(capsys.readouterr().out)[0] == {
        "name": "net",
        "versions": [1, 2, 3],
        "policy": "latest=2",
        "served": [2, 3],
        "labels": {"stable": 2},
        "problems": [],
    }


def test_list_mentions_what_is_no_version(repository: Path, capsys: Captured) -> None:
    (repository / "net" / "4").mkdir()
    (repository / "net" / "01").mkdir()
    (repository / "net" / "01" / artifact.SAVED_MODEL).touch()
    (repository / "circle").symlink_to(repository / "circle")
    repo(repository, "list")
    assert capsys.readouterr().err.splitlines() == [
        "circle: its folder cannot be read: Too many levels of symbolic links",
        "net: '01' is not served: version 1 is '1'",
        "net: version 4 is not served: '4' contains no saved_model.pb",
    ]


def test_a_model_in_a_folder_of_another_name_can_be_listed_and_labelled(repository: Path, capsys: Captured) -> None:
    (repository / CONFIG).write_text("model_config_list { config { name: 'stable' base_path: '/models/net' } }")
    repo(repository, "policy", "stable", "all")
    repo(repository, "label", "stable", "production=2")
    assert scan(repository).models == {"stable": ModelEntry("stable", (1, 2, 3), {"production": 2})}
    capsys.readouterr()
    repo(repository, "list", "--json")
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert (rows["stable"]["versions"], rows["net"]["served"]) == ([1, 2, 3], [])


def test_version_0_can_be_selected_and_labelled(repository: Path) -> None:
    (repository / "net" / "0").mkdir()
    (repository / "net" / "0" / artifact.SAVED_MODEL).touch()
    repo(repository, "policy", "net", "specific=0,3")
    repo(repository, "label", "net", "oldest=0")
    assert scan(repository).models["net"] == ModelEntry("net", (0, 3), {"oldest": 0})


def test_list_needs_no_models_config(repository: Path, capsys: Captured) -> None:
    repo(repository, "list", "--json")
    assert [row["served"] for row in json.loads(capsys.readouterr().out)] == [[1, 2, 3], [1]]
    assert not (repository / CONFIG).exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["label", "net", "stable=4"], "version 4 of net is not served, so it cannot be stable; served: 1, 2, 3"),
        (["label", "net", "stable"], "LABEL=VERSION; got 'stable'"),
        (["label", "net", "release-1=1"], "letters, digits or '_'; got 'release-1'"),
        (["label", "nat", "stable=1"], "no model 'nat' is published"),
        (["policy", "net", "newest"], "all, latest=N or specific=N,N,...; got 'newest'"),
        (["policy", "net", "latest=0"], "got 'latest=0'"),
        (["policy", "net", "specific=7"], "selects none of the versions of net"),
        (["remove", "nat"], "nat is not served; served: net, other"),
    ],
)
def test_invalid_labels_policies_and_names_are_refused(
    repository: Path, capsys: Captured, arguments: list[str], message: str
) -> None:
    repo(repository, "policy", "net", "all")
    capsys.readouterr()
    assert message in refusal(capsys, repository, *arguments)


def test_a_policy_that_excludes_a_labelled_version_is_refused(repository: Path, capsys: Captured) -> None:
    repo(repository, "label", "net", "stable=1")
    capsys.readouterr()
    assert "version 1 of net, which is stable" in refusal(capsys, repository, "policy", "net", "latest=2")


def test_an_unreadable_file_is_not_changed(repository: Path, capsys: Captured) -> None:
    (repository / CONFIG).write_text("model_config_list { config { of_the_future: 1 } }")
    assert CONFIG in refusal(capsys, repository, "policy", "net", "all")
