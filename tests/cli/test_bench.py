"""`keras-archs bench`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from keras_archs.cli.app import run
from keras_archs.cli.bench_loads import parse_clients, parse_rates
from tests.client.documents import classification
from tests.support.command_line import Captured, failure
from tests.support.scripted_server import Received, Scripted, answer, problem, scripted_server

KEY = "a-key-that-nobody-may-see"
GOOD = answer(classification("cat"), Server_Timing="decode;dur=0.1, queue;dur=0.1, inference;dur=0.1")
SHORT = ("--duration", "0.5s", "--warm-up", "0.1s")


def bench(url: str, *options: str) -> list[str]:
    return ["bench", "--url", url, "--model", "tiny", *SHORT, *options]


def measured(captured: Captured, arguments: list[str]) -> dict[str, Any]:
    """Run a measurement and return its JSON document."""
    assert run([*arguments, "--json"]) == 0
    document: dict[str, Any] = json.loads(captured.readouterr().out)
    return document


@pytest.mark.parametrize("protocol", ["rest", "v1", "v2"])
def test_a_gateway_is_measured_over_each_protocol(capsys: Captured, url: str, protocol: str) -> None:
    document = measured(capsys, bench(url, "--protocol", protocol, "--concurrency", "2"))
    (load,) = document.pop("loads")
    about = {"url": url, "model": "tiny", "protocol": protocol, "photographs": 1, "interrupted": False}
    assert document == about
    assert (load["clients"], load["rate"], load["errors"]) == (2, None, {})
    assert load["requests"] > 0
    assert load["answers_per_second"] > 0
    assert set(load["phases"]) >= {"decode", "queue", "inference", "rest"}
    latency = load["latency"]
    assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["p999"] <= latency["max"]
    assert load["sent_mb_per_second"] > load["received_mb_per_second"] > 0


def test_photographs_are_sent_in_turn_and_a_plot_is_drawn(
    capsys: Captured, photographs: dict[str, bytes], tmp_path: Path
) -> None:
    for name, photo in photographs.items():
        (tmp_path / f"{name}.jpg").write_bytes(photo)
    (tmp_path / "notes.txt").write_text("no photograph")
    plot = tmp_path / "latency.html"
    with scripted_server(GOOD) as server:
        arguments = bench(server.url, "--concurrency", "1,3", "--photos", str(tmp_path), "--plot", str(plot))
        assert run(arguments) == 0
    headings, first, second = capsys.readouterr().out.splitlines()
    columns = "clients requests answers/s errors p50 p90 p99 p99.9 max decode queue inference rest MB/s out MB/s in"
    assert headings.split() == columns.split()
    assert (first.split()[0], second.split()[0]) == ("1", "3")
    assert {received.body for received in server.received} == set(photographs.values())
    assert "3 clients" in plot.read_text(encoding="utf-8")


def test_errors_are_counted_by_kind(capsys: Captured) -> None:
    steps = iter(range(10**9))

    def every_second(_: Received) -> Scripted:
        return GOOD if next(steps) % 2 == 0 else problem(503, "overloaded", Retry_After="1")

    with scripted_server(script=every_second) as server:
        assert run(bench(server.url, "--rate", "40", "--arrivals", "constant")) == 0
    output = capsys.readouterr()
    cells = output.out.splitlines()[1].split()
    assert (cells[0], int(cells[1])) == ("40", 20)
    assert f"errors at rate 40: {cells[3]} overloaded; after " in output.err


@pytest.mark.parametrize(
    ("first", "message"),
    [
        (problem(404, "model-not-found", "no model 'tiny' is published here"), "model-not-found: no model 'tiny'"),
        (answer(b"<html>", Content_Type="text/html"), "another server: the answer has the type 'text/html'"),
        (answer({"error": "busy"}, 503), "status 503: "),
        (Scripted(hangs=True), "no answer in time: there was no answer within 0.2 s"),
    ],
)
def test_nothing_is_measured_if_the_first_request_fails(capsys: Captured, first: Scripted, message: str) -> None:
    with scripted_server(first) as server:
        line = failure(capsys, bench(server.url, "--timeout", "0.2"))
    assert f"the first request failed: {message}" in line
    assert len(server.received) == 1


def test_the_key_comes_from_the_environment_and_is_not_shown(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_ARCHS_KEY", KEY)
    with scripted_server(GOOD, problem(401, "unauthenticated")) as server:
        assert run(bench(server.url, "--concurrency", "1", "--json")) == 0
    assert {received.headers["authorization"] for received in server.received} == {f"Bearer {KEY}"}
    output = capsys.readouterr()
    assert "unauthenticated" in output.out
    assert KEY not in output.out + output.err
    monkeypatch.setenv("KERAS_ARCHS_KEY", f"{KEY}\n")
    assert KEY not in failure(capsys, bench(server.url))


def test_ctrl_c_prints_what_was_measured_so_far() -> None:
    script = "from keras_archs.cli import main; main()"
    moments: list[float] = []

    def note(_: Received) -> Scripted:
        moments.append(time.monotonic())
        return GOOD

    with scripted_server(script=note) as server:
        arguments = bench(server.url, "--concurrency", "1,2,4", "--duration", "60s")
        start = ["env", "--default-signal=INT", sys.executable, "-c", script, *arguments]
        with subprocess.Popen(start, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            # the warm-up of a tenth of a second is over
            while not moments or moments[-1] - moments[0] < 0.5:
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    headings, load = output.splitlines()
    assert headings.split()[0] == "clients"
    assert load.split()[0] == "1"
    assert int(load.split()[1].replace(",", "")) > 0
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--concurrency", "1..0"], "--concurrency is a list 1,4,16 or a range 1..64"),
        (["--concurrency", "1.5"], "got '1.5'"),
        (["--concurrency", "0"], "got '0'"),
        (["--rate", "fast"], "--rate is a list 50,100 or a range 25..400 of numbers above 0, up to 10,000; got 'fast'"),
        (["--concurrency", "9" * 400], "whole numbers, 1 to 10,000"),
        (["--rate", "0"], "got '0'"),
        (["--rate", "100..20000"], "numbers above 0, up to 10,000; got '100..20000'"),
        (["--rate", "5", "--concurrency", "5"], "give one of them"),
        (["--plot", "x.txt"], "--plot must end in"),
        (["--url", "host:8000"], "the URL is http(s)://HOST"),
        (["--url", "http://host", "--photos", str(Path(__file__).parent)], "there are no photographs"),
    ],
)
def test_a_wrong_option_is_one_line(capsys: Captured, options: list[str], message: str) -> None:
    assert message in failure(capsys, ["bench", "--url", "http://127.0.0.1:1", "--model", "tiny", *options])


def test_loads_are_lists_or_ranges_that_double() -> None:
    assert parse_clients("1..64") == [1, 2, 4, 8, 16, 32, 64]
    assert parse_clients("3..20") == [3, 6, 12, 20]
    assert parse_clients("1, 4,16") == [1, 4, 16]
    assert parse_clients("8..8") == [8]
    assert parse_rates("12.5..100") == [12.5, 25, 50, 100]
