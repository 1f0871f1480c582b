"""Files of the Hugging Face hub: addresses, the user's token, and the cache of the hub's client."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from keras_archs.weights.download import fetch, hub
from keras_archs.weights.errors import DownloadError
from tests.support.weights_entries import CHECKSUM, OTHER_WEIGHTS, WEIGHTS, an_entry, file_of_hub, put
from tests.support.weights_server import Answer, WeightsServer

ADDRESS = "/somebody/resnet18/resolve/main/model.safetensors"
STORED = "/xet/0123"
COMMIT = "0" * 40


@pytest.fixture
def storage() -> Iterator[WeightsServer]:
    """The server that stores the hub's large files."""
    server = WeightsServer()
    server.put(STORED, Answer(WEIGHTS))
    yield server
    server.close()


@pytest.fixture
def the_hub(
    isolated: Path, weights_server: WeightsServer, storage: WeightsServer, monkeypatch: pytest.MonkeyPatch
) -> WeightsServer:
    """The hub, which redirects to its storage."""
    monkeypatch.setenv("HF_ENDPOINT", f"{weights_server.url}/")
    linked = {"Location": storage.url + STORED, "X-Linked-Etag": f'"{CHECKSUM.value}"', "X-Repo-Commit": COMMIT}
    weights_server.put(ADDRESS, Answer(status=302, headers=linked))
    return weights_server


def test_files_come_from_huggingface_co_or_the_endpoint_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    file = replace(file_of_hub(), revision="v1")
    assert hub.address(file) == "https://huggingface.co/somebody/resnet18/resolve/v1/model.safetensors"
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example.org/")
    assert hub.address(file) == "https://hub.example.org/somebody/resnet18/resolve/v1/model.safetensors"


@pytest.mark.parametrize("source", ["HF_TOKEN", "HF_TOKEN_PATH", "HF_HOME"])
def test_the_token_goes_to_the_hub_and_not_to_its_storage(
    the_hub: WeightsServer, storage: WeightsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    if source == "HF_TOKEN":
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
    else:
        put(tmp_path / "token", b"hf_secret\n")
        monkeypatch.setenv(source, str(tmp_path / "token" if source == "HF_TOKEN_PATH" else tmp_path))
    assert fetch(an_entry(file_of_hub())).path.read_bytes() == WEIGHTS
    (asked,), (stored,) = the_hub.received, storage.received
    assert asked.headers["Authorization"] == "Bearer hf_secret"
    assert "Authorization" not in stored.headers


def test_the_token_does_not_go_to_a_mirror(
    the_hub: WeightsServer, storage: WeightsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("KERAS_ARCHS_MIRROR", storage.url)
    fetch(an_entry(file_of_hub()))
    assert [request.headers["Authorization"] for request in storage.received] == [None, None]


def test_without_a_token_none_is_sent(the_hub: WeightsServer) -> None:
    fetch(an_entry(file_of_hub()))
    assert "Authorization" not in the_hub.received[0].headers


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_of_the_hub_means_that_the_repository_is_missing_or_needs_a_token(
    the_hub: WeightsServer, status: int
) -> None:
    the_hub.put(ADDRESS, Answer(b"Invalid username or password.", status))
    with pytest.raises(DownloadError, match="does not exist, or needs an access token in HF_TOKEN"):
        fetch(an_entry(file_of_hub()))


def test_a_file_that_is_not_what_the_hub_states_is_refused_even_without_a_published_checksum(
    the_hub: WeightsServer, storage: WeightsServer, isolated: Path
) -> None:
    storage.put(STORED, Answer(OTHER_WEIGHTS))
    with pytest.raises(DownloadError, match=f"instead of {CHECKSUM.value}, which its sender states"):
        fetch(an_entry(file_of_hub(checksum=None)))
    assert [path for path in isolated.rglob("*") if path.is_file()] == []
    storage.put(STORED, Answer(WEIGHTS))
    assert fetch(an_entry(file_of_hub(checksum=None))).sha256 == CHECKSUM.value


def in_hub_cache(content: bytes, *, named: str = CHECKSUM.value) -> Path:
    """Put a file into the hub's cache, as its client does; return the path of the snapshot."""
    repository = hub.cache() / "models--somebody--resnet18"
    blob = put(repository / "blobs" / named, content)
    put(repository / "refs" / "main", COMMIT.encode())
    snapshot = repository / "snapshots" / COMMIT / "model.safetensors"
    snapshot.parent.mkdir(parents=True)
    snapshot.symlink_to(blob)
    return snapshot


@pytest.mark.parametrize("checksum", [CHECKSUM, None])
@pytest.mark.parametrize("revision", ["main", COMMIT])
def test_a_file_in_the_cache_of_the_hubs_client_is_used(the_hub: WeightsServer, checksum: None, revision: str) -> None:
    snapshot = in_hub_cache(WEIGHTS)
    assert fetch(an_entry(replace(file_of_hub(checksum), revision=revision))).path == snapshot
    assert the_hub.received == []


@pytest.mark.parametrize("variable", ["HF_HUB_CACHE", "XDG_CACHE_HOME"])
def test_the_cache_of_the_hubs_client_may_be_elsewhere(
    the_hub: WeightsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv(variable, str(tmp_path / "elsewhere"))
    snapshot = in_hub_cache(WEIGHTS)
    assert snapshot.is_relative_to(tmp_path / "elsewhere")
    assert fetch(an_entry(file_of_hub())).path == snapshot


@pytest.mark.parametrize("checksum", [CHECKSUM, None])
def test_an_altered_file_in_the_cache_of_the_hubs_client_is_not_used(
    the_hub: WeightsServer, isolated: Path, checksum: None
) -> None:
    in_hub_cache(OTHER_WEIGHTS)
    fetched = fetch(an_entry(file_of_hub(checksum)))
    assert fetched.path.is_relative_to(isolated)
    assert fetched.sha256 == CHECKSUM.value


def test_another_revision_in_the_cache_of_the_hubs_client_is_not_used(the_hub: WeightsServer, isolated: Path) -> None:
    in_hub_cache(WEIGHTS)
    file = replace(file_of_hub(checksum=None), revision="1" * 40)
    the_hub.put(ADDRESS.replace("main", "1" * 40), Answer(WEIGHTS))
    assert fetch(an_entry(file)).path.is_relative_to(isolated)
