"""The log: text or JSON, with what is known about the request; an access log of its own; no secrets in either."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from keras_archs import keys
from serving import logs
from serving.protocols.access_log import ACCESS_LOG
from serving.protocols.failure_log import MAX_CHARACTERS
from serving.settings import Settings
from tests.support.fake_app import IMAGE, running_app
from tests.support.gateway import running_gateway

SECRET = "key-that-nobody-may-see"


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Put the process's logging back as it was."""
    root, access = logging.getLogger(), logging.getLogger(ACCESS_LOG)
    before = root.level, root.handlers[:], access.propagate, access.disabled, access.handlers[:]
    yield
    root.level, root.handlers, access.propagate, access.disabled, access.handlers = before
    logging.getLogger("httpx").disabled = False


def configure(settings: Settings) -> None:
    """Set up the log in a process that has no handlers yet: pytest has added its own."""
    logging.getLogger().handlers.clear()
    logging.getLogger("httpx").disabled = True  # the client's own lines
    logs.configure(settings)


def requested(repository: Path, *requests: tuple[str, dict[str, Any]], **settings: Any) -> list[httpx.Response]:
    """Send POST requests to a gateway with these settings, one after the other."""

    async def scenario() -> list[httpx.Response]:
        configure(Settings(repository=repository, **settings))
        async with running_app(repository, **settings) as client:
            return [await client.post(path, **({"content": IMAGE} | request)) for path, request in requests]

    return asyncio.run(scenario())


def as_json(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_json_line_of_a_failed_request_has_what_is_known_about_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (answer,) = requested(
        tmp_path,
        ("/classify/net", {"content": b"not an image", "headers": {"X-Request-ID": "abc"}}),
        log_format="json",
    )
    assert answer.status_code == 400
    (line,) = (line for line in as_json(capsys.readouterr().err) if line["logger"].endswith("failure_log"))
    assert line["timestamp"].endswith("+00:00")
    assert (line["level"], line["request_id"], line["caller"]) == ("INFO", "abc", "192.0.2.7")
    assert (line["model"], line["version"], line["status"]) == ("net", 7, 400)
    assert line["request"] == "POST /classify/net"
    assert line["detail"].startswith("image 1: ")
    assert line["message"] == f"400 to 192.0.2.7 for POST /classify/net: {line['detail']}"


def test_text_is_as_people_know_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    requested(tmp_path, ("/classify/other", {"headers": {"X-Request-ID": "abc"}}))
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "404" in line)
    assert " INFO [abc] serving.protocols.failure_log: 404 to 192.0.2.7 for POST /classify/other: " in line


def test_a_traceback_is_one_json_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(Settings(log_format="json"))
    try:
        raise RuntimeError("a\nbug")
    except RuntimeError:
        logging.getLogger("serving").exception("cannot")
    (line,) = as_json(capsys.readouterr().err)
    assert (line["level"], line["message"], line["request_id"]) == ("ERROR", "cannot", "-")
    assert "RuntimeError: a\nbug" in line["exception"]


def test_the_access_log_is_off_by_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert requested(tmp_path, ("/classify/net", {}))[0].is_success
    assert capsys.readouterr().out == ""


def test_the_access_log_has_a_line_for_each_request_whatever_the_level_of_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = requested(
        tmp_path,
        ("/classify/net", {"headers": {"X-Request-ID": "abc"}}),
        ("/classify/other", {}),
        ("/explain/net", {}),
        ("/nowhere", {}),
        access_log=True,
        log_format="json",
        log_level="error",
    )
    captured = capsys.readouterr()
    assert captured.err == ""
    classified, unknown, explained, nowhere = as_json(captured.out)
    assert classified["message"] == "POST /classify/net 200"
    assert (classified["logger"], classified["request_id"]) == (ACCESS_LOG, "abc")
    assert (classified["client"], classified["caller"]) == ("192.0.2.7", "192.0.2.7")
    assert (classified["model"], classified["version"], classified["images"]) == ("net", 7, 1)
    assert (classified["received_bytes"], classified["sent_bytes"]) == (len(IMAGE), len(answers[0].content))
    phases = [classified[f"{phase}_ms"] for phase in ("queue", "decode", "inference")]
    assert all(phase >= 0 for phase in phases)
    assert sum(phases) <= classified["duration_ms"]
    assert (unknown["model"], unknown["status"], unknown["problem"]) == ("other", 404, "model-not-found")
    assert "version" not in unknown
    assert explained["message"] == "POST /explain/net 200"
    assert "inference_ms" in explained
    assert (nowhere["status"], nowhere["method"], nowhere["path"]) == (404, "POST", "/nowhere")
    assert "model" not in nowhere


def test_the_access_log_as_text_has_the_same_fields(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    requested(tmp_path, ("/classify/net", {}), access_log=True)
    (line,) = capsys.readouterr().out.splitlines()
    assert (
        f" {ACCESS_LOG}: POST /classify/net 200 client=192.0.2.7 caller=192.0.2.7 model=net version=7 images=1 " in line
    )
    assert " decode_ms=" in line and " inference_ms=" in line and " duration_ms=" in line


@pytest.mark.parametrize("form", ["text", "json"])
def test_neither_keys_nor_queries_nor_images_are_logged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    headers = {"Authorization": f"Bearer {SECRET}", "X-API-Key": SECRET, "Cookie": SECRET, "Referer": SECRET}
    requested(
        tmp_path,
        ("/classify/net", {"headers": headers}),
        (f"/classify/net?key={SECRET}", {"headers": headers}),
        ("/classify/net", {"content": f"{SECRET} is no image".encode()}),
        ("/classify/net", {"files": {SECRET: IMAGE}}),
        access_log=True,
        log_format=form,
        log_level="debug",
    )
    captured = capsys.readouterr()
    lines = [line for line in (captured.out + captured.err).splitlines() if "serving" in line]
    assert len(lines) >= 4
    assert not [line for line in lines if SECRET in line or "IHDR" in line]


def test_lines_have_the_name_of_the_key_and_not_the_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secret = keys.new_secret()
    keys.add(tmp_path / "keys.json", "team-a", keys.Key(keys.sha256_of(secret), ("other",), datetime.now(UTC)))
    requested(
        tmp_path / "models",
        ("/classify/net", {"headers": {"Authorization": f"Bearer {secret}"}}),
        ("/classify/net", {"headers": {"Authorization": f"Bearer {keys.new_secret()}"}}),
        keys=tmp_path / "keys.json",
        access_log=True,
        log_format="json",
    )
    captured = capsys.readouterr()
    forbidden, unknown = as_json(captured.out)
    assert (forbidden["status"], forbidden["caller"], forbidden["model"]) == (403, "team-a", "net")
    assert (unknown["status"], unknown["client"], unknown["problem"]) == (401, "192.0.2.7", "unauthenticated")
    assert "caller" not in unknown
    refused, _ = (line for line in as_json(captured.err) if line["logger"].endswith("failure_log"))
    assert (refused["status"], refused["caller"], refused["model"]) == (403, "team-a", "net")
    assert keys.PREFIX not in captured.out + captured.err


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_path_cannot_forge_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    forged = "%0A2026-01-01 INFO forged%1B[31m%E2%80%A8" + "a" * 2000
    requested(tmp_path, (f"/classify/{forged}", {}), access_log=True, log_format=form)
    captured = capsys.readouterr()
    for text in (captured.out, captured.err):
        (line,) = (line for line in text.splitlines() if "forged" in line)
        assert line.isprintable()
        assert not line.startswith("2026-01-01 INFO forged")
        assert len(line) < 6 * MAX_CHARACTERS + 500


def test_the_flag_makes_a_process_log_json(tmp_path: Path) -> None:
    with running_gateway(tmp_path, tmp_path / "log", "--log-format", "json", ready=False) as gateway:
        gateway.client.post("/classify/nothing", content=b"x", headers={"X-Request-ID": "abc"})
    assert [line["model"] for line in as_json(gateway.logged()) if line["request_id"] == "abc"] == ["nothing"]


def test_the_level_can_change_while_the_gateway_runs(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Settings(log_level="warning"))
    log = logging.getLogger("serving")
    log.info("before")
    logs.set_level("info")
    log.info("after")
    assert [line.rpartition(" ")[2] for line in capsys.readouterr().err.splitlines()] == ["after"]
