"""Which models and versions a repository serves: the policy as a pure function, and models.config as it is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st

from keras_archs.repository import artifact
from keras_archs.repository.models_config import CONFIG, VersionPolicy, served_versions
from serving.core.errors import LabelNotFoundError, VersionNotFoundError
from serving.core.repository import ModelEntry, ModelSpec, RepositoryError, scan

on_disk_versions = st.sets(st.integers(1, artifact.MAX_VERSION)).map(lambda found: tuple(sorted(found)))


def policy(text: str) -> VersionPolicy:
    return text_format.Parse(text, VersionPolicy())


def make_version(repository: Path, name: str, version: str) -> None:
    folder = repository / name / version
    folder.mkdir(parents=True)
    (folder / artifact.SAVED_MODEL).write_bytes(b"")


@given(on_disk_versions)
def test_without_a_policy_every_version_may_be_asked_for(on_disk: tuple[int, ...]) -> None:
    assert served_versions(on_disk, None) == on_disk


@given(on_disk_versions, st.integers(1, 5))
def test_latest_selects_the_newest(on_disk: tuple[int, ...], count: int) -> None:
    assert served_versions(on_disk, policy(f"latest {{ num_versions: {count} }}")) == tuple(sorted(on_disk)[-count:])


@given(on_disk_versions)
def test_an_empty_policy_is_the_newest_as_in_tensorflow_serving(on_disk: tuple[int, ...]) -> None:
    assert served_versions(on_disk, policy("")) == on_disk[-1:]


def test_specific_selects_what_it_names_of_what_is_there() -> None:
    assert served_versions((1, 2, 3), policy("specific { versions: 3 versions: 1 versions: 9 }")) == (1, 3)


def test_all_selects_all() -> None:
    assert served_versions((1, 2, 3), policy("all {}")) == (1, 2, 3)


def test_only_complete_versions_with_a_canonical_number_are_seen(tmp_path: Path) -> None:
    for version in ("1", "12", "007", "0", "-3", "one", ".incoming-x", str(artifact.MAX_VERSION + 1)):
        make_version(tmp_path, "net", version)
    (tmp_path / "net" / "5").mkdir()  # no saved_model.pb
    assert artifact.published_versions(tmp_path / "net") == [1, 12]


def test_models_config_selects_models_and_versions_and_gives_labels(tmp_path: Path) -> None:
    for version in "123":
        make_version(tmp_path, "net", version)
    make_version(tmp_path, "other", "7")
    (tmp_path / CONFIG).write_text(
        "model_config_list { config { name: 'net' base_path: '/models/net' model_platform: 'tensorflow'"
        " model_version_policy { specific { versions: 1 versions: 2 } }"
        " version_labels { key: 'stable' value: 1 } version_labels { key: 'canary' value: 2 } } }"
    )
    assert scan(tmp_path) == {"net": ModelEntry("net", (1, 2), {"stable": 1, "canary": 2})}


def test_without_models_config_everything_is_served(tmp_path: Path) -> None:
    for version in "12":
        make_version(tmp_path, "net", version)
    assert scan(tmp_path) == {"net": ModelEntry("net", (1, 2))}
    assert scan(tmp_path, unconfigured=VersionPolicy()) == {"net": ModelEntry("net", (2,))}


@pytest.mark.parametrize("content", [b"model_config_list {", b"nonsense: 1", b"\xff\xfe"])
def test_a_broken_models_config_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / CONFIG).write_bytes(content)
    with pytest.raises(RepositoryError, match=CONFIG):
        scan(tmp_path)


def test_a_missing_repository_is_said(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="no model repository"):
        scan(tmp_path / "nowhere")


ENTRY = ModelEntry("net", (1, 2, 3), {"stable": 1, "gone": 9})


def test_the_newest_is_the_first_candidate_and_older_ones_follow() -> None:
    assert ENTRY.candidates(ModelSpec("net")) == (3, 2, 1)


def test_a_version_or_a_label_means_just_that_one() -> None:
    assert ENTRY.candidates(ModelSpec("net", version=2)) == (2,)
    assert ENTRY.candidates(ModelSpec("net", label="stable")) == (1,)


def test_unknown_versions_and_labels_are_named_with_what_there_is() -> None:
    with pytest.raises(VersionNotFoundError, match=r"no version 4; versions: 1, 2, 3"):
        ENTRY.candidates(ModelSpec("net", version=4))
    for label in ("canary", "gone"):
        with pytest.raises(LabelNotFoundError, match=rf"no version labelled '{label}'; labels: gone, stable"):
            ENTRY.candidates(ModelSpec("net", label=label))
