"""Durations as people write them."""

import pytest
import typer

from keras_archs.cli.duration import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("0.5s", 0.5),
        ("10ms", 0.01),
        ("2.5ms", 0.0025),
        ("10m", 600),
        ("1h30m", 5400),
        ("1h", 3600),
        ("2h0m5s", 7205),
        (" 10M ", 600),
    ],
)
def test_hours_minutes_and_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "0", "0m", "0ms", "ms", "1s5ms", "-5", "1.5h", "1.s", "10 m", "m", "5m1h", "1:30", "ten", "٣m"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="90s, 10m or 1h30m, above 0; got"):
        parse_duration(text)
