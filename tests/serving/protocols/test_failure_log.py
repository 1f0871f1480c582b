"""The log of failed requests: one line each, and no flood of lines."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from serving.protocols import failure_log
from serving.protocols.failure_log import BURST, MAX_CHARACTERS, log_failure


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[list[float]]:
    """The time, which a test sets; nothing is logged before."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    failure_log._allowances.clear()
    with caplog.at_level(logging.INFO):
        yield now
    failure_log._allowances.clear()


@pytest.mark.parametrize(("status", "level"), [(400, "INFO"), (431, "INFO"), (503, "WARNING"), (504, "WARNING")])
def test_a_failure_of_a_client_is_information_and_one_of_the_server_a_warning(
    caplog: pytest.LogCaptureFixture, status: int, level: str
) -> None:
    log_failure(status, "192.0.2.1", "POST /classify/net", "why it failed")
    (record,) = caplog.records
    assert record.levelname == level
    assert record.getMessage() == f"{status} to 192.0.2.1 for POST /classify/net: why it failed"


@pytest.mark.parametrize("text", ["a\nb", "a\x1b[31mb", "a\u2028b", "a\r\n2026-01-01 INFO forged", "a" * 10_000])
def test_what_a_client_sends_stays_on_one_short_line_of_printable_text(
    caplog: pytest.LogCaptureFixture, text: str
) -> None:
    log_failure(404, "192.0.2.1", f"GET /{text}", text)
    line = caplog.records[0].getMessage()
    assert len(line.splitlines()) == 1
    assert line.isprintable()
    assert len(line) < 2.5 * MAX_CHARACTERS


def test_a_flood_of_one_status_is_counted_and_hides_no_other_status(
    caplog: pytest.LogCaptureFixture, clock: list[float]
) -> None:
    for _ in range(1000):
        log_failure(404, "192.0.2.1", "GET /", "flood")
    assert len(caplog.records) == BURST
    log_failure(503, "192.0.2.2", "POST /", "overloaded")
    assert "overloaded" in caplog.messages[-1]
    clock[0] += 1
    for _ in range(2):
        log_failure(404, "192.0.2.1", "GET /", "later")
    assert len(caplog.records) == BURST + 2
    assert caplog.messages[-1].endswith(f"later (and {1000 - BURST} more 404 that are not logged)")
