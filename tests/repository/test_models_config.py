"""`models.config`: version policies as pure functions, and concurrent edits."""

from __future__ import annotations

import threading
from pathlib import Path

from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st

from keras_archs.repository import artifact, models_config
from keras_archs.repository.models_config import CONFIG, VersionPolicy, served_versions

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
