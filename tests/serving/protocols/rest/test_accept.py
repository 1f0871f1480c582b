"""Content negotiation by the header `Accept`."""

from __future__ import annotations

import pytest

from serving.protocols.rest.accept import preferred


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "a/json"),
        ("*/*", "a/json"),
        ("a/json, i/png", "a/json"),  # among equals, the first offered
        ("i/png", "i/png"),
        ("I/PNG", "i/png"),
        ("i/png;q=0.9 , a/json;q=0.8", "i/png"),
        ("i/png;level=1;q=0.2, a/*;q=0.3", "a/json"),
        ("*/*;q=0.1, i/*", "i/png"),
        ("i/*;q=0.9, i/png;q=0, */*;q=0.1", "a/json"),  # the most specific range decides
        ("text/html, */*;q=0.8", "a/json"),  # as sent by a browser
        ("text/html", None),
        ("i/png;q=0", None),
        ("*/*;q=0.000", None),
        ("nonsense, ;;, =", None),
    ],
)
def test_the_offered_type_with_the_highest_quality_is_chosen(accept: str, chosen: str | None) -> None:
    assert preferred(accept, ("a/json", "i/png")) == chosen
