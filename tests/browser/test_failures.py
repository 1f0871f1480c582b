"""What goes wrong is said in words, with what to do about it, and can be tried again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import LITE0, Open
from tests.browser.person import best, choose, column, photograph
from tests.support.gateway import running_gateway

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def test_a_damaged_picture_is_told_from_a_failure_of_the_server(page: Page) -> None:
    choose(page, {"name": "damaged.jpg", "mimeType": "image/jpeg", "buffer": b"\xff\xd8\xff\xe0 not a photograph"})
    expect(page.get_by_text("This browser cannot show the picture.")).to_be_visible()
    expect(column(page, "A")).to_contain_text("Not a readable image.")
    expect(column(page, "A")).to_contain_text("Choose a JPEG, PNG, WebP, BMP or GIF file")
    expect(page.locator("#announcements")).to_contain_text("damaged.jpg. A: Not a readable image.")


def test_a_busy_gateway_says_when_to_try_again_and_the_button_does_it(page: Page) -> None:
    problem = {"type": "urn:keras-archs:problem:overloaded", "title": "The server is overloaded", "detail": "busy"}
    page.route("**/classify/**", lambda route: route.fulfill(status=503, headers={"Retry-After": "7"}, json=problem))
    choose(page, photograph("coffee.jpg"))
    expect(column(page, "A")).to_contain_text("The server is overloaded. busy. Try again in 7 s.")
    page.unroute("**/classify/**")
    column(page, "A").get_by_role("button", name="Try again").click()
    expect(best(page, "A")).to_have_text("espresso")


def test_the_failure_of_one_model_leaves_the_others_alone(page: Page) -> None:
    page.route("**/classify/tiny", lambda route: route.fulfill(status=502, body="<h1>proxy</h1>"))
    choose(page, photograph("coffee.jpg"))
    page.get_by_role("button", name="Compare with another").click()
    page.get_by_label("Model B", exact=True).select_option("tiny")
    expect(column(page, "B")).to_contain_text("The server answered 502.")
    expect(column(page, "B")).to_contain_text("Try again a little later.")
    expect(best(page, "A")).to_have_text("espresso")


def test_a_gateway_that_has_gone_is_said_to_have_gone(
    open_page: Open, constant_classifier: Callable[[Path, int], Path], tmp_path: Path
) -> None:
    constant_classifier(tmp_path / "models", 1)
    with running_gateway(tmp_path / "models", tmp_path / "log") as short_lived:
        page = open_page(short_lived.port)
        page.locator(".column").wait_for()
        coffee = photograph("coffee.jpg")
        choose(page, coffee)
        expect(best(page, "A")).to_have_text("one")
    choose(page, coffee)
    expect(column(page, "A")).to_contain_text("The gateway does not answer.")
    expect(column(page, "A")).to_contain_text("Check that the gateway runs and that you are online")


def test_a_gateway_without_models_says_how_to_publish_one(open_page: Open, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    with running_gateway(tmp_path / "models", tmp_path / "log", ready=False) as empty:
        page = open_page(empty.port)
        expect(page.locator("#no-models")).to_contain_text("keras-archs export efficientnet-lite0 --weights imagenet")
        page.get_by_role("link", name="Models").click()
        expect(page.locator("#model-count")).to_contain_text("No model is published here yet.")


def test_text_of_the_gateway_is_never_read_as_html(page: Page) -> None:
    problem = {"type": "x", "title": "<img src=x onerror=alert(1)>", "detail": "<script>alert(1)</script>"}
    page.route("**/classify/**", lambda route: route.fulfill(status=400, json=problem))
    choose(page, photograph("coffee.jpg"))
    expect(column(page, "A")).to_contain_text("<img src=x onerror=alert(1)>. <script>alert(1)</script>.")
    assert LITE0 in column(page, "A").inner_text()
