"""Processes that share a cache, are ended, may not write, or run out of space; and the terminal."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from keras_archs.weights.download import fetch
from tests.support.weights_entries import PATH, WEIGHTS, an_entry, file_at, put
from tests.support.weights_server import Answer, WeightsServer

NAME = "resnet18.safetensors"
SCRIPT = """
import sys
from keras_archs.weights.download import fetch
from tests.support.weights_entries import an_entry, file_at
before()
print(fetch(an_entry(file_at(sys.argv[1]))).path)
"""
SILENT = Answer(WEIGHTS, sent=1000, then="silence")
TIMEOUT = 60


@pytest.fixture
def start(isolated: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts processes that fetch a file after a piece of code, and ends them."""
    started: list[subprocess.Popen[str]] = []

    def start(
        url: str, *, prefix: Sequence[str] = (), before: str = "pass", stderr: int = subprocess.PIPE
    ) -> subprocess.Popen[str]:
        code = f"def before():\n    {before}\n{SCRIPT}"
        process = subprocess.Popen(
            ["env", "--default-signal=INT", *prefix, sys.executable, "-c", code, url],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def files_in(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file()]


def test_processes_at_the_same_time_get_the_same_file(
    isolated: Path, weights_server: WeightsServer, start: Callable[..., subprocess.Popen[str]]
) -> None:
    url = weights_server.put(f"/{NAME}", Answer(WEIGHTS, together_with=3))
    processes = [start(url) for _ in range(3)]
    outputs = [process.communicate(timeout=TIMEOUT)[0] for process in processes]
    assert outputs == [f"{isolated / PATH / NAME}\n"] * 3
    assert files_in(isolated) == [isolated / PATH / NAME]
    assert (isolated / PATH / NAME).read_bytes() == WEIGHTS


def test_an_interrupted_download_leaves_nothing(
    isolated: Path, weights_server: WeightsServer, start: Callable[..., subprocess.Popen[str]]
) -> None:
    process = start(weights_server.put(f"/{NAME}", SILENT))
    weights_server.wait_for(1)
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=TIMEOUT)[1]
    assert files_in(isolated) == []


def test_what_a_killed_download_leaves_is_never_used_and_is_removed_a_day_later(
    isolated: Path, weights_server: WeightsServer, start: Callable[..., subprocess.Popen[str]]
) -> None:
    url = weights_server.put(f"/{NAME}", SILENT)
    process = start(url)
    weights_server.wait_for(1)
    process.kill()
    process.communicate(timeout=TIMEOUT)
    (left_over,) = files_in(isolated)
    assert left_over.name != NAME
    weights_server.put(f"/{NAME}", Answer(WEIGHTS))
    os.utime(left_over, (0, 0))
    fetched = fetch(an_entry(file_at(url)))
    assert files_in(isolated) == [fetched.path]


def test_a_full_disk_ends_in_an_error_and_leaves_nothing(
    isolated: Path, weights_server: WeightsServer, start: Callable[..., subprocess.Popen[str]]
) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))"
    process = start(weights_server.put(f"/{NAME}", Answer(WEIGHTS)), before=limit)
    message = process.communicate(timeout=TIMEOUT)[1]
    assert f"{isolated / PATH} cannot be written: File too large" in message
    assert "KERAS_HOME names the folder in which the cache lies" in message
    assert files_in(isolated) == []
    assert len(weights_server.received) == 1


def test_a_cache_that_may_only_be_read_is_used_and_named_when_it_must_be_written(
    isolated: Path, weights_server: WeightsServer, start: Callable[..., subprocess.Popen[str]]
) -> None:
    ordinary: tuple[str, ...] = ()
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root is held to the permissions of files by `setpriv`")
        ordinary = ("setpriv", "--bounding-set", "-dac_override")
    there = put(isolated / PATH / NAME)
    there.parent.chmod(0o555)
    try:
        here = start(f"{weights_server.url}/{NAME}", prefix=ordinary)
        assert here.communicate(timeout=TIMEOUT)[0] == f"{there}\n"
        missing = start(weights_server.put("/other.safetensors", Answer(WEIGHTS)), prefix=ordinary)
        message = missing.communicate(timeout=TIMEOUT)[1]
        assert f"{there.parent} cannot be written: Permission denied" in message
        assert weights_server.received == []
    finally:
        there.parent.chmod(0o755)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_progress_is_shown_on_a_terminal_alone(
    isolated: Path, weights_server: WeightsServer, start: Callable[..., subprocess.Popen[str]], is_terminal: bool
) -> None:
    terminal, end = pty.openpty()
    url = weights_server.put(f"/{NAME}", Answer(WEIGHTS))
    process = start(url, stderr=end if is_terminal else subprocess.PIPE)
    output, errors = process.communicate(timeout=TIMEOUT)
    os.close(end)
    assert output == f"{isolated / PATH / NAME}\n"
    if is_terminal:
        shown = ""
        with suppress(OSError):  # the end of the terminal
            while part := os.read(terminal, 100_000):
                shown += part.decode(errors="replace")
        assert f"{NAME} from 127.0.0.1" in shown
        assert "12.1/12.1 kB" in shown
    else:
        assert errors == ""
    os.close(terminal)
