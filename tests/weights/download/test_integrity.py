"""What is known of a file's content, and what happens when nothing was published about it."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path

import pytest

from keras_archs.cards.weights_entry import Checksum
from keras_archs.weights.download import fetch
from keras_archs.weights.errors import DownloadError
from tests.support.weights_entries import (
    CHECKSUM,
    OTHER_WEIGHTS,
    PATH,
    WEIGHTS,
    an_entry,
    file_at,
    published,
    put,
)
from tests.support.weights_server import Answer, WeightsServer

NAME = "resnet18.safetensors"


@pytest.fixture
def url(isolated: Path, weights_server: WeightsServer) -> str:
    """The address of a file of weights."""
    return weights_server.put(f"/{NAME}", Answer(WEIGHTS))


def record_in(isolated: Path) -> Path:
    return isolated / PATH / f"{NAME}.first-seen.json"


@pytest.mark.parametrize(
    "checksum",
    [
        Checksum("sha256", CHECKSUM.value[:8]),
        Checksum("sha256", CHECKSUM.value.upper()),
        Checksum("sha1", hashlib.sha1(WEIGHTS).hexdigest()),
        Checksum("md5", hashlib.md5(WEIGHTS).hexdigest()),
    ],
)
def test_checksums_of_all_kinds_are_compared(isolated: Path, weights_server: WeightsServer, checksum: Checksum) -> None:
    right = weights_server.put("/right.safetensors", Answer(WEIGHTS))
    wrong = weights_server.put("/wrong.safetensors", Answer(OTHER_WEIGHTS))
    assert fetch(an_entry(file_at(right, checksum))).sha256 == CHECKSUM.value
    with pytest.raises(DownloadError, match=f"instead of (digits that start with )?{checksum.value.lower()}"):
        fetch(an_entry(file_at(wrong, checksum)))


def zipped(*contents: bytes) -> bytes:
    """Return a zip file of checkpoints."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number, content in enumerate(contents):
            archive.writestr(zipfile.ZipInfo(f"{number}.pth"), content, zipfile.ZIP_DEFLATED)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped(OTHER_WEIGHTS), "SHA-1 of the file inside [0-9a-f]{40} instead of [0-9a-f]{40}"),
        (zipped(WEIGHTS, WEIGHTS), "must have one entry, not 2"),
        (zipped(bytes(20_000_000)), "would grow from 19,[0-9]{3} to 20,000,000 bytes"),
        (zipped(WEIGHTS)[:-30], "no zip file of a checkpoint"),
        (WEIGHTS, "no zip file of a checkpoint"),
    ],
)
def test_the_checksum_of_the_file_inside_a_zip_file_is_compared(
    isolated: Path, weights_server: WeightsServer, content: bytes, message: str
) -> None:
    checksum = Checksum("sha1", hashlib.sha1(WEIGHTS).hexdigest(), "content")
    right = weights_server.put("/right.pth.zip", Answer(zipped(WEIGHTS)))
    assert fetch(an_entry(file_at(right, checksum))).sha256 == published(zipped(WEIGHTS)).value
    wrong = weights_server.put("/wrong.pth.zip", Answer(content))
    with pytest.raises(DownloadError, match=message):
        fetch(an_entry(file_at(wrong, checksum)))


def test_without_a_published_checksum_what_is_seen_first_is_recorded(isolated: Path, url: str) -> None:
    fetch(an_entry(file_at(url, checksum=None)))
    record = json.loads(record_in(isolated).read_text())
    assert record.pop("seen").startswith("20")
    assert record == {"sha256": CHECKSUM.value, "source": url}


def test_a_file_that_changed_at_its_source_is_refused_with_both_checksums(
    isolated: Path, weights_server: WeightsServer, url: str
) -> None:
    fetch(an_entry(file_at(url, checksum=None))).path.unlink()
    weights_server.put(f"/{NAME}", Answer(OTHER_WEIGHTS))
    with pytest.raises(DownloadError) as raised:
        fetch(an_entry(file_at(url, checksum=None)))
    assert published(OTHER_WEIGHTS).value in str(raised.value)
    assert f"has {CHECKSUM.value}. Delete {record_in(isolated)} if the change is known to be right" in str(raised.value)
    assert not (isolated / PATH / NAME).exists()
    record_in(isolated).unlink()
    assert fetch(an_entry(file_at(url, checksum=None))).sha256 == published(OTHER_WEIGHTS).value


def test_a_file_that_changed_in_the_cache_is_downloaded_again(isolated: Path, url: str) -> None:
    entry = an_entry(file_at(url, checksum=None))
    put(fetch(entry).path, OTHER_WEIGHTS)
    with pytest.warns(UserWarning, match="no checksum was published"):
        assert fetch(entry).path.read_bytes() == WEIGHTS


@pytest.mark.parametrize("folder", ["mine", "caches/keras/models", "caches/torch/hub/checkpoints"])
def test_what_is_seen_first_is_recorded_wherever_it_was_found(
    isolated: Path, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.setenv("KERAS_ARCHS_WEIGHTS", str(tmp_path / "mine"))
    there = put(tmp_path / folder / NAME)
    assert fetch(an_entry(file_at(url, checksum=None))).path == there
    assert json.loads(record_in(isolated).read_text())["source"] == str(there)
    put(there, OTHER_WEIGHTS)
    monkeypatch.setenv("KERAS_ARCHS_OFFLINE", "1")
    if folder == "mine":
        with pytest.warns(UserWarning), pytest.raises(DownloadError, match=CHECKSUM.value):
            fetch(an_entry(file_at(url, checksum=None)))
    else:
        with pytest.raises(DownloadError, match=CHECKSUM.value):
            fetch(an_entry(file_at(url, checksum=None)))


@pytest.mark.parametrize(
    "content", [WEIGHTS[:-1], WEIGHTS[:100], b"", b"<html>", b"version https://git-lfs.github.com"]
)
def test_a_part_of_a_file_is_not_recorded_as_what_was_seen_first(
    isolated: Path, tmp_path: Path, url: str, content: bytes
) -> None:
    put(tmp_path / "caches/keras/models" / NAME, content)
    assert fetch(an_entry(file_at(url, checksum=None))).path == isolated / PATH / NAME
    assert json.loads(record_in(isolated).read_text())["sha256"] == CHECKSUM.value


def test_a_file_of_another_format_is_refused(isolated: Path, weights_server: WeightsServer, url: str) -> None:
    weights_server.put(f"/{NAME}", Answer(b"<html>Welcome to the hotel</html>"))
    with pytest.raises(DownloadError, match="not a complete file of weights: the file is a web page"):
        fetch(an_entry(file_at(url, checksum=None)))
    assert not record_in(isolated).exists()


def test_a_damaged_record_is_named(isolated: Path, url: str) -> None:
    put(record_in(isolated), b"{}")
    with pytest.raises(DownloadError, match=f"the record {record_in(isolated)} of the content first seen is damaged"):
        fetch(an_entry(file_at(url, checksum=None)))


def test_a_published_checksum_needs_no_record(isolated: Path, url: str) -> None:
    fetch(an_entry(file_at(url)))
    assert not record_in(isolated).exists()
