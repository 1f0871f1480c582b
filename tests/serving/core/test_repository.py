"""Which models and versions the gateway serves of a repository, and which of them answer a request."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest

from keras_archs.repository import artifact
from keras_archs.repository.models_config import CONFIG, VersionPolicy
from serving.core.errors import LabelNotFoundError, VersionNotFoundError
from serving.core.repository import ModelEntry, ModelSpec, RepositoryError, scan


def make_version(repository: Path, name: str, version: str) -> None:
    folder = repository / name / version
    folder.mkdir(parents=True)
    (folder / artifact.SAVED_MODEL).write_bytes(b"")


def test_models_config_selects_models_and_versions_and_assigns_labels(tmp_path: Path) -> None:
    for version in "123":
        make_version(tmp_path, "net", version)
    make_version(tmp_path, "other", "7")
    (tmp_path / CONFIG).write_text(
        "model_config_list { config { name: 'net' base_path: '/models/net' model_platform: 'tensorflow'"
        " model_version_policy { specific { versions: 1 versions: 2 } }"
        " version_labels { key: 'stable' value: 1 } version_labels { key: 'canary' value: 2 } } }"
    )
    assert scan(tmp_path).models == {"net": ModelEntry("net", (1, 2), {"stable": 1, "canary": 2})}


def test_without_models_config_all_models_are_served(tmp_path: Path) -> None:
    for version in "12":
        make_version(tmp_path, "net", version)
    assert scan(tmp_path).models == {"net": ModelEntry("net", (1, 2))}
    assert scan(tmp_path, default_policy=VersionPolicy()).models == {"net": ModelEntry("net", (2,))}


@pytest.mark.parametrize("content", [b"model_config_list {", b"nonsense: 1", b"\xff\xfe"])
def test_an_unreadable_models_config_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / CONFIG).write_bytes(content)
    with pytest.raises(RepositoryError, match=CONFIG):
        scan(tmp_path)


@pytest.mark.parametrize("content", ["", " \n", "# comments only\n"])
def test_an_empty_models_config_is_an_error(tmp_path: Path, content: str) -> None:
    make_version(tmp_path, "net", "1")
    (tmp_path / CONFIG).write_text(content)
    with pytest.raises(RepositoryError, match=r"models\.config is empty, .* without the file every model is served"):
        scan(tmp_path)


def test_a_missing_repository_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="no model repository"):
        scan(tmp_path / "nowhere")


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_a_repository_that_cannot_be_listed_is_reported_without_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fail(path: Path) -> None:
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(Path, "iterdir", fail)
    with pytest.raises(RepositoryError) as failure:
        scan(tmp_path)
    assert str(failure.value) == f"the model repository cannot be read: {os.strerror(code)}"


ENTRY = ModelEntry("net", (1, 2, 3), {"stable": 1, "gone": 9})


def test_candidates_begin_with_the_newest_version() -> None:
    assert ENTRY.candidates(ModelSpec("net")) == (3, 2, 1)


def test_a_version_or_label_has_one_candidate() -> None:
    assert ENTRY.candidates(ModelSpec("net", version=2)) == (2,)
    assert ENTRY.candidates(ModelSpec("net", label="stable")) == (1,)


def test_unknown_versions_and_labels_are_errors_that_list_the_known_ones() -> None:
    with pytest.raises(VersionNotFoundError, match=r"no version 4; versions: 1, 2, 3"):
        ENTRY.candidates(ModelSpec("net", version=4))
    for label in ("canary", "gone"):
        with pytest.raises(LabelNotFoundError, match=rf"no version labelled '{label}'; labels: gone, stable"):
            ENTRY.candidates(ModelSpec("net", label=label))


def configure(repository: Path, *entries: str) -> None:
    listed = " ".join(f"config {{ {entry} }}" for entry in entries)
    (repository / CONFIG).write_text(f"model_config_list {{ {listed} }}")


def make_circle(path: Path) -> None:
    """Make a link to itself, which nobody can open; unlike a folder without permissions, not even root."""
    path.symlink_to(path)


def test_what_cannot_be_read_is_a_problem_of_its_model_only(tmp_path: Path) -> None:
    for version in "12":
        make_version(tmp_path, "net", version)
    make_circle(tmp_path / "net" / "3")
    make_circle(tmp_path / "other")
    contents = scan(tmp_path)
    assert contents.models == {"net": ModelEntry("net", (1, 2))}
    assert contents.problems == {
        "net": ("version 3 cannot be read: Too many levels of symbolic links",),
        "other": ("its folder cannot be read: Too many levels of symbolic links",),
    }


def test_what_was_served_is_served_while_it_cannot_be_read(tmp_path: Path) -> None:
    for name in ("net", "other"):
        make_version(tmp_path, name, "1")
        make_version(tmp_path, name, "2")
    before = scan(tmp_path).models
    (tmp_path / "other").rename(tmp_path / ".other")
    make_circle(tmp_path / "other")
    (tmp_path / "net" / "2").rename(tmp_path / "net" / ".2")
    make_circle(tmp_path / "net" / "2")
    now = scan(tmp_path, previous=before)
    assert now.models == before
    assert set(now.problems) == {"net", "other"}
    (tmp_path / "other").unlink()
    (tmp_path / "net" / "2").unlink()
    assert scan(tmp_path, previous=now.models).models == {"net": ModelEntry("net", (1,))}


@pytest.mark.parametrize("base_path", ["/on/tensorflow/servings/machine/resnet", "s3://bucket/resnet/", "resnet"])
def test_a_model_is_served_from_the_folder_in_which_its_base_path_ends(tmp_path: Path, base_path: str) -> None:
    make_version(tmp_path, "resnet", "1")
    make_version(tmp_path, "stable", "2")  # the model's name does not choose the folder
    configure(tmp_path, f"name: 'stable' base_path: '{base_path}'")
    contents = scan(tmp_path)
    assert contents.problems == {}
    assert contents.models["stable"].folders == {1: tmp_path / "resnet" / "1"}


@pytest.mark.parametrize("base_path", ["/models/gone", "/models/..", "/", "/models/net/1"])
def test_a_model_whose_base_path_leads_to_no_model_is_mentioned(tmp_path: Path, base_path: str) -> None:
    make_version(tmp_path, "net", "1")
    configure(tmp_path, "name: 'net'", f"name: 'stable' base_path: '{base_path}'")
    contents = scan(tmp_path)
    assert set(contents.models) == {"net"}
    (problem,) = contents.problems["stable"]
    assert re.fullmatch(r"the repository has no folder '.*' with a version, .*", problem)


def test_base_paths_between_which_one_would_have_to_guess_are_refused(tmp_path: Path) -> None:
    make_version(tmp_path, "net", "1")
    make_version(tmp_path, "other", "1")
    configure(
        tmp_path,
        "name: 'a' base_path: '/team-a/net'",
        "name: 'b' base_path: '/team-b/net'",
        "name: 'c' base_path: '/team-a/other'",
        "name: 'd' base_path: '/team-a/other/'",
    )
    contents = scan(tmp_path)
    assert set(contents.models) == {"c", "d"}
    assert contents.problems["a"] == contents.problems["b"]
    assert "different base_paths end in 'net'" in contents.problems["a"][0]


def test_a_base_path_that_is_another_folder_of_this_machine_is_mentioned(tmp_path: Path) -> None:
    repository = tmp_path / "copy"
    make_version(repository, "net", "1")
    make_version(tmp_path / "original", "net", "2")
    configure(repository, f"name: 'net' base_path: '{repository}/net'")
    assert scan(repository).problems == {}
    configure(repository, f"name: 'net' base_path: '{tmp_path}/original/net'")
    contents = scan(repository)
    assert contents.models["net"].versions == (1,)
    (problem,) = contents.problems["net"]
    assert "another folder than 'net' of the repository" in problem and str(tmp_path) not in problem


def test_policies_and_labels_without_effect_are_mentioned(tmp_path: Path) -> None:
    for version in "12":
        make_version(tmp_path, "net", version)
        make_version(tmp_path, "none", version)
    configure(
        tmp_path,
        "name: 'net' model_version_policy { specific { versions: 2 versions: 7 } }"
        " version_labels { key: 'stable' value: 1 } version_labels { key: 'canary' value: 2 }",
        "name: 'none' model_version_policy { specific { versions: 8 } }",
        "name: 'not/a name' base_path: '/models/net'",
    )
    contents = scan(tmp_path)
    assert set(contents.models) == {"net"}
    assert contents.problems["net"] == (
        "version 7, which its policy selects, is not published",
        "label 'stable' has no effect: version 1 is not served",
    )
    assert contents.problems["none"] == ("version 8, which its policy selects, is not published",)
    assert "1 to 128 letters" in contents.problems["not/a name"][0]
