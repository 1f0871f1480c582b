"""The layout of published models on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from keras_archs.repository import artifact
from keras_archs.repository.artifact import ArtifactError, NotPublishedError
from keras_archs.repository.artifact_card import ArtifactCard
from tests.support.fake_runtime import publish


def test_a_version_is_found_by_number_and_the_newest_by_default(tmp_path: Path) -> None:
    for version in (2, 10, 9):
        publish(tmp_path, "net", version)
    assert artifact.find_version(tmp_path, "net") == tmp_path / "net" / "10"
    assert artifact.find_version(tmp_path, "net", 2) == tmp_path / "net" / "2"
    assert artifact.find_versions(tmp_path, "net") == (2, 9, 10)


@pytest.mark.parametrize(
    ("name", "version", "message"),
    [
        ("net", 3, "net has no version 3 in .*; published: 1, 2"),
        ("nat", None, "no model 'nat' is published in .*; published: net, other"),
    ],
)
def test_what_is_not_published_is_named_with_what_is(
    tmp_path: Path, name: str, version: int | None, message: str
) -> None:
    for model, number in (("net", 1), ("net", 2), ("other", 1)):
        publish(tmp_path, model, number)
    with pytest.raises(NotPublishedError, match=message):
        artifact.find_version(tmp_path, name, version)


def test_a_missing_repository_is_reported_with_the_command_that_creates_it(tmp_path: Path) -> None:
    with pytest.raises(NotPublishedError, match=r"no model repository at .*nowhere; `keras-archs export"):
        artifact.find_version(tmp_path / "nowhere", "net")


def test_an_empty_repository_has_no_models(tmp_path: Path) -> None:
    with pytest.raises(NotPublishedError, match="published: none"):
        artifact.find_version(tmp_path, "net")


@pytest.mark.parametrize("name", ["", "../escape", "-x", ".x", "a/b", "a b", "x" * 129, "naïve"])
def test_names_that_do_not_fit_into_urls_and_folders_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="1 to 128 letters, digits"):
        artifact.check_name(name)


def test_a_card_survives_a_round_trip(tmp_path: Path) -> None:
    card = artifact.read_card(publish(tmp_path, "net", 1))
    assert ArtifactCard.from_json(card.to_json()) == card


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"name": "net"}'])
def test_a_malformed_card_names_the_version(tmp_path: Path, content: str) -> None:
    version_dir = publish(tmp_path, "net", 1)
    (version_dir / artifact.CARD).write_text(content)
    with pytest.raises(ArtifactError, match=r"model_card.json of version 1 of 'net' cannot be read"):
        artifact.read_card(version_dir)


def test_a_missing_card_names_the_command_that_writes_cards(tmp_path: Path) -> None:
    version_dir = publish(tmp_path, "net", 1)
    (version_dir / artifact.CARD).unlink()
    with pytest.raises(ArtifactError, match="`keras-archs export`"):
        artifact.read_card(version_dir)
