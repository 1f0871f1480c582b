"""A card is read strictly: whatever an answer depends on is there, has its type, and is named if it is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from keras_archs.repository import artifact
from keras_archs.repository.artifact import ArtifactError
from keras_archs.repository.artifact_card import ArtifactCard
from tests.support.fake_runtime import publish

MISSING = object()


@pytest.fixture
def version_dir(tmp_path: Path) -> Path:
    return publish(tmp_path, "net", 1)


def change(version_dir: Path, path: str, value: object) -> None:
    """Set a field of the card, e.g. "labels.0.name", or remove it if the value is `MISSING`."""
    file = version_dir / artifact.CARD
    card = json.loads(file.read_text())
    *parents, last = (int(key) if key.isdecimal() else key for key in path.split("."))
    entry: Any = card
    for key in parents:
        entry = entry[key]
    if value is MISSING:
        del entry[last]
    else:
        entry[last] = value
    file.write_text(json.dumps(card))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("labels", None, "labels must be an array, got None"),
        ("labels", MISSING, "labels is missing"),
        ("labels", [], "labels must have an entry for each class"),
        ("labels", {"0": "cat"}, "labels must be an array"),
        ("labels.3", None, r"labels\[3\] must be an object, got None"),
        ("labels.3", "cat", r"labels\[3\] must be an object, got 'cat'"),
        ("labels.3.name", None, r"labels\[3\].name must be a string, got None"),
        ("labels.3.name", 7, r"labels\[3\].name must be a string, got 7"),
        ("labels.3.name", " \n", r"labels\[3\].name must not be empty"),
        ("labels.3.wordnet_id", 7, r"labels\[3\].wordnet_id must be a string"),
        ("labels.3.wordnet_id", MISSING, r"labels\[3\].wordnet_id is missing"),
        ("name", 7, "name must be a string"),
        ("name", "", "name must not be empty"),
        ("weights", None, "weights must be an object"),
        ("weights.trained", "false", "weights.trained must be true or false, got 'false'"),
        ("weights.trained", 1, "weights.trained must be true or false, got 1"),
        ("weights.source", None, "weights.source must be a string"),
        ("weights.sha256", 5, "weights.sha256 must be a string"),
        ("preprocessing", None, "preprocessing must be an object"),
        ("preprocessing.size", "8x8", "size must be two positive integers"),
        ("preprocessing.mean", [0, 0], "mean must have 1 entry"),
        ("preprocessing.std", [0, 0, 0], "std must be positive"),
        ("preprocessing.mean", [float("nan")] * 3, "mean must be a tuple of finite numbers"),
        ("architecture", "ResNet18", "architecture must be an object"),
        ("created", 2026, "created must be a string"),
        ("producer", {"keras": 3}, r"producer\['keras'\] must be a string"),
        ("checksums", [], "checksums must be an object"),
        ("checksums", {"saved_model.pb": None}, r"checksums\['saved_model.pb'\] must be a string"),
        ("checksums", {"/etc/passwd": "0"}, "paths inside the version's folder, got '/etc/passwd'"),
        ("checksums", {"assets/../../x": "0"}, "paths inside the version's folder"),
        ("explains", 1, "explains must be true or false"),
        ("multi_label", "no", "multi_label must be true or false"),
    ],
)
def test_a_field_that_is_missing_or_wrong_is_named(version_dir: Path, path: str, value: object, message: str) -> None:
    change(version_dir, path, value)
    with pytest.raises(ArtifactError, match=rf"model_card.json of version 1 of 'net' cannot be read: .*{message}"):
        artifact.read_card(version_dir)


@pytest.mark.parametrize(
    "content",
    ["", "null", "[]", "7", '"card"', "{", "\ufeff{}", '{"name": "net"}', pytest.param("[" * 100_000, id="deep")],
)
def test_a_file_that_is_no_card_is_refused(version_dir: Path, content: str) -> None:
    (version_dir / artifact.CARD).write_text(content)
    with pytest.raises(ArtifactError, match="cannot be read"):
        artifact.read_card(version_dir)


def test_the_message_contains_no_path_of_the_machine(version_dir: Path) -> None:
    (version_dir / artifact.CARD).unlink()
    (version_dir / artifact.CARD).mkdir()
    with pytest.raises(ArtifactError) as caught:
        artifact.read_card(version_dir)
    assert str(version_dir.parents[1]) not in str(caught.value)


def test_a_long_value_is_shortened_in_the_message(version_dir: Path) -> None:
    change(version_dir, "created", ["x" * 10_000] * 100)
    with pytest.raises(ArtifactError) as caught:
        artifact.read_card(version_dir)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_card_survives_a_round_trip(version_dir: Path, multi_label: bool) -> None:
    change(version_dir, "multi_label", multi_label)
    card = artifact.read_card(version_dir)
    assert card.multi_label == multi_label
    assert ArtifactCard.from_json(json.loads(json.dumps(card.to_json()))) == card


def test_older_cards_are_read_and_fields_of_newer_ones_are_ignored(version_dir: Path) -> None:
    card = artifact.read_card(version_dir)
    for path, value in (("explains", MISSING), ("multi_label", MISSING), ("colour_space", "srgb")):
        change(version_dir, path, value)
    older = artifact.read_card(version_dir)
    assert (older.explains, older.multi_label) == (False, False)
    assert older.labels == card.labels
