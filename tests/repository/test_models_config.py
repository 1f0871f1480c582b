"""`models.config`: version policies as pure functions, and concurrent edits."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig

from keras_archs.repository import artifact, models_config
from keras_archs.repository.models_config import CONFIG, ConfigError, VersionPolicy, served_versions
from tests.support.fake_runtime import publish

on_disk_versions = st.sets(st.integers(1, artifact.MAX_VERSION)).map(lambda versions: tuple(sorted(versions)))


def policy(text: str) -> VersionPolicy:
    return text_format.Parse(text, VersionPolicy())


@given(on_disk_versions)
def test_without_a_policy_every_version_is_served(on_disk: tuple[int, ...]) -> None:
    assert served_versions(on_disk, None) == on_disk


@given(on_disk_versions, st.integers(1, 5))
def test_latest_selects_the_newest(on_disk: tuple[int, ...], count: int) -> None:
    assert served_versions(on_disk, policy(f"latest {{ num_versions: {count} }}")) == tuple(sorted(on_disk)[-count:])


@given(on_disk_versions)
def test_an_empty_policy_selects_the_newest_as_in_tensorflow_serving(on_disk: tuple[int, ...]) -> None:
    assert served_versions(on_disk, policy("")) == on_disk[-1:]


def test_specific_selects_the_named_versions_that_are_published() -> None:
    assert served_versions((1, 2, 3), policy("specific { versions: 3 versions: 1 versions: 9 }")) == (1, 3)


def test_all_selects_all_versions() -> None:
    assert served_versions((1, 2, 3), policy("all {}")) == (1, 2, 3)


def test_no_concurrent_edit_is_lost(tmp_path: Path) -> None:
    def label(number: int) -> None:
        with models_config.edited(tmp_path) as config:
            models_config.include(config, tmp_path, "net").version_labels[f"l{number}"] = 1

    threads = [threading.Thread(target=label, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    config = models_config.read(tmp_path)
    assert config is not None
    assert set(models_config.entries(config)["net"].version_labels) == {f"l{number}" for number in range(8)}
    assert [path.name for path in tmp_path.glob("*config*")] == [CONFIG]


@given(st.one_of(st.just("all"), st.integers(1, 9).map("latest={}".format), st.sets(st.integers(1, 9), min_size=1)))
def test_a_policy_survives_a_round_trip_as_text(policy: str | set[int]) -> None:
    text = policy if isinstance(policy, str) else "specific=" + ",".join(map(str, sorted(policy)))
    parsed = models_config.read_policy(text)
    assert models_config.write_policy(parsed) == text
    assert text_format.Parse(text_format.MessageToString(parsed), VersionPolicy()) == parsed


@pytest.mark.parametrize("text", ["", " \n\t", "# nothing but comments\n"])
def test_an_empty_file_says_nothing_and_an_empty_list_says_that_no_model_is_served(tmp_path: Path, text: str) -> None:
    (tmp_path / CONFIG).write_text(text)
    config = models_config.read(tmp_path)
    assert config is not None and models_config.is_empty(config)
    (tmp_path / CONFIG).write_text(text + "model_config_list {}")
    config = models_config.read(tmp_path)
    assert config is not None and not models_config.is_empty(config)
    assert models_config.entries(config) == {}


def test_an_edit_of_an_empty_file_keeps_serving_the_other_models(tmp_path: Path) -> None:
    for name in ("net", "other"):
        publish(tmp_path, name, 1)
    (tmp_path / CONFIG).write_text("# to be filled\n")
    with models_config.edited(tmp_path) as config:
        models_config.include(config, tmp_path, "net")
    edited = models_config.read(tmp_path)
    assert edited is not None and set(models_config.entries(edited)) == {"net", "other"}
    assert (tmp_path / CONFIG).read_text().startswith("# to be filled\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "model_config_list { config { name: 'a' } config { name: 'b' } config { name: 'a' } }",
            "more than one entry for a",
        ),
        ("model_config_list { config { base_path: '/models/a' } }", "an entry without a name"),
        ("custom_model_config {}", "write a model_config_list"),
        ("model_config_list {} model_config_list {}", "should not have multiple"),
        ("modle_config_list {}", "cannot be read: 1:1"),
    ],
)
def test_a_file_that_tensorflow_serving_refuses_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / CONFIG).write_text(text)
    with pytest.raises(ConfigError, match=message):
        models_config.read(tmp_path)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (Path.mkdir, "Is a directory"),
        (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
        (lambda path: path.symlink_to("nowhere"), "a link to a file that does not exist"),
    ],
)
def test_a_file_that_cannot_be_opened_is_reported_without_its_path(
    tmp_path: Path, make: Callable[[Path], None], reason: str
) -> None:
    make(tmp_path / CONFIG)
    with pytest.raises(ConfigError, match=reason) as failure:
        models_config.read(tmp_path)
    assert str(tmp_path) not in str(failure.value)


@pytest.mark.parametrize(
    "entry",
    ["base_path: /secret/net", "base_path: '/secret/net' 7", "base_path '/secret/net'", "base_path: '/secret/net"],
)
def test_a_syntax_error_is_located_without_quoting_a_path(tmp_path: Path, entry: str) -> None:
    (tmp_path / CONFIG).write_text(f"model_config_list {{\n config {{ name: 'net' {entry} }}\n}}")
    with pytest.raises(ConfigError, match=r"cannot be read: 2:\d+: [A-Z]\w+ ") as failure:
        models_config.read(tmp_path)
    assert "secret" not in str(failure.value)


@pytest.mark.parametrize(
    ("base_path", "folder"),
    [("", "net"), ("/models/net", "net"), ("/models/resnet/", "resnet"), ("s3://bucket/models/resnet", "resnet")],
)
def test_a_models_folder_is_the_last_part_of_its_base_path(base_path: str, folder: str) -> None:
    assert models_config.folder_name(ModelConfig(name="net", base_path=base_path)) == folder


@pytest.mark.parametrize(
    ("base_path", "expected"),
    [("/models/net", "/models/new"), ("s3://bucket/net", "s3://bucket/new"), ("/net/", "/new")],
)
def test_a_new_entry_has_the_path_of_the_first_entry(tmp_path: Path, base_path: str, expected: str) -> None:
    (tmp_path / CONFIG).write_text(
        f"model_config_list {{ config {{ name: 'bare' }} config {{ name: 'net' base_path: '{base_path}' }} }}"
    )
    with models_config.edited(tmp_path) as config:
        assert models_config.include(config, tmp_path, "new").base_path == expected


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("name: 'net' model_version_policy { all {} }", None),
        ("name: 'net' model_version_policy { specific { versions: 1 } }", "the policy specific=1 of net .* serves 1;"),
        ("name: 'net'", "the policy latest=1 of net .* serves 3;"),
        ("name: 'net' base_path: '/models/other'", "ends in another folder, 'other'"),
        ("name: 'other'", "does not name net; `keras-archs repo policy net all` adds an entry"),
        ("typo", "cannot be read: 1:"),
    ],
)
def test_a_version_that_is_not_served_is_explained(tmp_path: Path, entry: str, reason: str | None) -> None:
    for version in (1, 2, 3):
        publish(tmp_path, "net", version)
    assert models_config.why_not_served(tmp_path, "net", 2) is None
    (tmp_path / CONFIG).write_text(f"model_config_list {{ config {{ {entry} }} }}")
    explained = models_config.why_not_served(tmp_path, "net", 2)
    assert (explained is None) if reason is None else re.search(reason, explained or "")
