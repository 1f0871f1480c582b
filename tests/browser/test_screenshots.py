"""Screenshots to look at: each view on a phone and on a desktop, light and dark."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import COLOURS, LITE0, TINY, UNTRAINED, Open
from tests.browser.person import best, card, choose, column, compare, photograph, select
from tests.support.gateway import Gateway

pytestmark = pytest.mark.browser


@pytest.fixture
def screenshots(tmp_path: Path) -> Path:
    """The folder of the variable SCREENSHOTS, else a temporary folder that goes with the test."""
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_can_be_looked_at(open_page: Open, screenshots: Path, scheme: str, width: int) -> None:
    page = open_page(color_scheme=scheme, viewport={"width": width, "height": 860}, reduced_motion="reduce")

    def shoot(name: str) -> None:
        page.screenshot(path=screenshots / f"{name}-{width}-{scheme}.png", full_page=True)

    page.locator(".column .cost").wait_for()
    shoot("empty")
    choose(page, photograph("coffee.jpg"), photograph("chelsea.jpg"), photograph("rocket.jpg"))
    compare(page, LITE0, "version 1")
    expect(page.locator("#summary")).to_have_text("A and B agree on 3 of 3 pictures")
    column(page, "A").get_by_role("button", name="espresso").click()
    expect(page.get_by_role("img", name="Evidence for espresso")).to_be_visible()
    shoot("evidence")
    select(page, "B", TINY)
    compare(page, UNTRAINED)
    expect(best(page, "C")).to_be_visible()
    shoot("compared")
    page.route("**/classify/**", lambda route: route.fulfill(status=503, headers={"Retry-After": "2"}, json={}))
    select(page, "B", TINY, "version 1")
    expect(page.locator(".failure")).to_be_visible()
    shoot("failed")
    page.get_by_role("button", name="Key").click()
    shoot("key")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("link", name="Models").click()
    card(page, LITE0, 1)
    shoot("models")
    assert len(list(screenshots.glob(f"*-{width}-{scheme}.png"))) >= 6


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_what_describes_int8_can_be_looked_at(
    open_page: Open, quantized_gateway: Gateway, screenshots: Path, scheme: str, width: int
) -> None:
    page = open_page(quantized_gateway.port, color_scheme=scheme, viewport={"width": width, "height": 860})
    select(page, "A", COLOURS, "version 2")
    compare(page, COLOURS, "version 1")
    choose(page, photograph("coffee.jpg"))
    for letter in "AB":
        expect(best(page, letter)).to_be_visible()
    page.screenshot(path=screenshots / f"int8-{width}-{scheme}.png", full_page=True)
    page.get_by_role("link", name="Models").click()
    card(page, COLOURS, 2)
    page.screenshot(path=screenshots / f"int8-models-{width}-{scheme}.png", full_page=True)
