"""Names of classes and files are shown as they are, and are never anything but text."""

from __future__ import annotations

import pytest

from keras_archs.training.pages.text import counted, name, text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("cat & <dog>", "cat &amp; &lt;dog&gt;"),
        ('"it\'s"', "&quot;it&#x27;s&quot;"),
        ("two\nlines\tor\x00more", "two\\nlines\\tor\\x00more"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("caf\udce9", "caf\ufffd"),
        ("ورد", "ورد"),
        ("مي‌خواهم 👩‍🌾", "مي‌خواهم 👩‍🌾"),  # joiners belong to words and pictures
    ],
)
def test_what_cannot_be_seen_is_shown_by_its_code(value: str, shown: str) -> None:
    assert text(value) == shown
    assert name(value) == f"<bdi>{shown}</bdi>"
    text(value).encode("utf-8")


@pytest.mark.parametrize("length", [10, 79, 80, 81, 300])
def test_a_long_name_keeps_its_beginning_and_its_end(length: int) -> None:
    value = "".join(chr(ord("a") + number % 26) for number in range(length))
    shown = text(value, 80)
    assert len(shown) == min(length, 80)
    assert shown == value if length <= 80 else (shown[:53] + shown[-26:] == value[:53] + value[-26:])


def test_a_long_name_is_cut_before_it_is_escaped() -> None:
    assert text("<" * 100, 10) == "&lt;" * 6 + "…" + "&lt;" * 3


def test_one_is_singular() -> None:
    assert [counted(count, "image") for count in (0, 1, 2000)] == ["0 images", "1 image", "2,000 images"]
    assert counted(2, "class", "classes") == "2 classes"
