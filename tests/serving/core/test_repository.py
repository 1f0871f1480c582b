"""Which models and versions the gateway serves of a repository, and which of them answer a request."""

from __future__ import annotations

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
    assert scan(tmp_path) == {"net": ModelEntry("net", (1, 2), {"stable": 1, "canary": 2})}


def test_without_models_config_all_models_are_served(tmp_path: Path) -> None:
    for version in "12":
        make_version(tmp_path, "net", version)
    assert scan(tmp_path) == {"net": ModelEntry("net", (1, 2))}
    assert scan(tmp_path, default_policy=VersionPolicy()) == {"net": ModelEntry("net", (2,))}


@pytest.mark.parametrize("content", [b"model_config_list {", b"nonsense: 1", b"\xff\xfe"])
def test_an_unreadable_models_config_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / CONFIG).write_bytes(content)
    with pytest.raises(RepositoryError, match=CONFIG):
        scan(tmp_path)


def test_a_missing_repository_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="no model repository"):
        scan(tmp_path / "nowhere")


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
