"""`keras-archs weights lock`: what to pin for files whose SHA-256 is not known in full."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import pytest

from keras_archs.cards import published_weights
from keras_archs.cards.weights_entry import Checksum
from keras_archs.cli.app import run
from keras_archs.registry import list_weights
from tests.support.command_line import Captured, failure
from tests.support.weights_entries import CHECKSUM, WEIGHTS, put
from tests.support.weights_server import Answer, Serve

NETWORK = "mobilenet-0.25-224"
PREFIX = Checksum("sha256", CHECKSUM.value[:8])


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A file of weights."""
    return put(tmp_path / "weights.safetensors")


def served(serve: Serve, weights: Path, *answers: Answer, checksum: Checksum | None = None) -> None:
    """Make the file the only file of the network's weights."""
    entry = published_weights.entry(NETWORK, "imagenet")
    serve(entry, weights, *answers, format="safetensors", checksum=checksum)


def table(output: str) -> object:
    """Return the table that the command printed, as the tables of published weights are read."""
    comment, line = output.splitlines()
    assert comment.startswith(f"# {NETWORK} keras, read from ")
    return tomllib.loads(f"file = {line}")["file"]


@pytest.mark.parametrize("checksum", [None, PREFIX, Checksum("md5", hashlib.md5(WEIGHTS).hexdigest())])
def test_a_file_is_downloaded_and_its_table_printed(
    serve: Serve, weights: Path, capsys: Captured, checksum: Checksum | None
) -> None:
    served(serve, weights, checksum=checksum)
    assert run(["weights", "lock", NETWORK, "--download"]) == 0
    assert table(capsys.readouterr().out) == {
        "url": f"{serve.server.url}/{NETWORK}/keras/weights.safetensors",
        "sha256": CHECKSUM.value,
        "bytes": len(WEIGHTS),
    }


def test_without_download_no_server_is_asked(serve: Serve, weights: Path, capsys: Captured, isolated: Path) -> None:
    served(serve, weights)
    assert run(["weights", "lock", NETWORK]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert f"{NETWORK} keras: {serve.server.url}/{NETWORK}/keras/weights.safetensors is not here" in output.err
    assert "1 files could not be read; --download fetches them" in output.err
    assert serve.server.received == []
    put(isolated / NETWORK / "keras" / "weights.safetensors")
    assert run(["weights", "lock", NETWORK]) == 0
    assert CHECKSUM.value in capsys.readouterr().out
    assert serve.server.received == []


def test_a_file_of_the_hub_is_printed_with_its_repository_and_revision(isolated: Path, capsys: Captured) -> None:
    entry, file = next(
        (entry, file)
        for entry in list_weights("resnet-*")
        for file in entry.files
        if file.place == "hub" and file.checksum is None
    )
    put(isolated / entry.network / entry.tag / file.name)
    assert run(["weights", "lock", entry.network]) == 1  # other files are not here
    (line,) = (line for line in capsys.readouterr().out.splitlines() if not line.startswith("#"))
    assert tomllib.loads(f"file = {line}")["file"] == {
        "hub": file.location,
        "name": file.name,
        "revision": file.revision,
        "sha256": CHECKSUM.value,
        "bytes": len(WEIGHTS),
    }


def test_a_file_that_is_not_what_is_known_of_it_is_not_printed(serve: Serve, weights: Path, capsys: Captured) -> None:
    served(serve, weights, Answer(WEIGHTS[:-1]), checksum=PREFIX)
    assert run(["weights", "lock", NETWORK, "--download"]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert f"instead of digits that start with {PREFIX.value}" in output.err


def test_a_file_whose_sha256_is_known_is_left_out(serve: Serve, weights: Path, capsys: Captured) -> None:
    served(serve, weights, checksum=CHECKSUM)
    assert run(["weights", "lock", NETWORK]) == 0
    assert capsys.readouterr().out == ""


def test_an_unknown_model_is_an_error(capsys: Captured) -> None:
    assert "no model matches 'no-such-*'" in failure(capsys, ["weights", "lock", "no-such-*"])
