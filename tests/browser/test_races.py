"""An answer is shown for what was asked, in whichever order the answers arrive; what nobody waits for is aborted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import LITE0, TINY, Open
from tests.browser.person import best, choose, column, photograph, select

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

pytestmark = pytest.mark.browser


FRAMES = """(async (isDone) => {
    for (let frame = 0; frame < 600 && !isDone(); frame++) await new Promise(requestAnimationFrame);
})"""
"""Waits for a condition, for at most 600 frames."""


class Held:
    """The requests to a path, held back; the caller lets them go."""

    def __init__(self, page: Page, pattern: str) -> None:
        self._page = page
        self._routes: list[Route] = []
        page.route(pattern, lambda route: self._routes.append(route))  # noqa: PLW0108  # playwright wraps functions only

    def first(self, count: int) -> list[Route]:
        """The first requests, oldest first, as soon as they have been made.

        The page shows that it asks before the request reaches this process.

        Raises:
            AssertionError: More requests have been made, or fewer within 10 seconds.
        """
        deadline = time.monotonic() + 10
        while len(self._routes) < count and time.monotonic() < deadline:
            self._page.wait_for_timeout(10)
        assert len(self._routes) == count
        return self._routes


def test_the_slower_answer_for_another_model_never_wins(page: Page) -> None:
    held = Held(page, f"**/classify/{LITE0}")
    choose(page, photograph("coffee.jpg"))
    expect(column(page, "A")).to_contain_text("Classifying")
    with page.expect_event("requestfailed") as failed:
        select(page, "A", TINY)
    assert failed.value.url.endswith(f"/classify/{LITE0}")
    expect(best(page, "A")).to_have_text("one")
    held.first(1)
    page.unroute(f"**/classify/{LITE0}")
    select(page, "A", LITE0)
    expect(best(page, "A")).to_have_text("espresso")


def test_the_slower_answer_for_another_picture_never_wins(page: Page) -> None:
    held = Held(page, f"**/classify/{LITE0}")
    choose(page, photograph("coffee.jpg"))
    expect(column(page, "A")).to_contain_text("Classifying")
    choose(page, photograph("chelsea.jpg"))
    expect(page.locator("#picture-name")).to_have_text("chelsea.jpg")
    coffee, cat = held.first(2)
    cat.continue_()
    expect(best(page, "A")).to_have_text("Egyptian cat")
    coffee.continue_()
    expect(page.locator("#thumbnails li").first).to_have_text("espresso")
    expect(best(page, "A")).to_have_text("Egyptian cat")


def test_the_slower_evidence_never_wins(page: Page) -> None:
    choose(page, photograph("coffee.jpg"))
    held = Held(page, "**/explain/**class=967")
    column(page, "A").get_by_role("button", name="espresso").click()
    expect(page.locator("#evidence")).to_contain_text("Looking for the evidence for “espresso”")
    with page.expect_event("requestfailed"):
        column(page, "A").get_by_role("button", name="cup").click()
    expect(page.get_by_role("img", name="Evidence for cup")).to_be_visible()
    held.first(1)


def test_a_picture_that_is_removed_is_no_longer_asked_about(page: Page) -> None:
    Held(page, f"**/classify/{LITE0}")
    choose(page, photograph("coffee.jpg"))
    expect(column(page, "A")).to_contain_text("Classifying")
    with page.expect_event("requestfailed"):
        page.get_by_role("button", name="Remove this picture").click()


def test_an_answer_that_arrives_during_a_click_does_not_swallow_it(page: Page) -> None:
    choose(page, photograph("coffee.jpg"))
    expect(best(page, "A")).to_have_text("espresso")
    held = Held(page, f"**/classify/{LITE0}")
    choose(page, photograph("chelsea.jpg"))
    expect(page.locator("#thumbnails li")).to_have_count(2)
    page.locator("#thumbnails li").first.get_by_role("img").hover()
    page.mouse.down()
    held.first(1)[0].continue_()
    expect(best(page, "A")).to_have_text("Egyptian cat")
    page.mouse.up()
    expect(page.locator("#picture-name")).to_have_text("coffee.jpg")


def test_an_older_list_of_models_never_wins(page: Page) -> None:
    held = Held(page, "**/models")
    for name in ("Models", "Classify", "Models"):
        link = page.get_by_role("link", name=name)
        link.click()
        expect(link).to_have_attribute("aria-current", "page")
    old, new = held.first(2)
    for route, name in ((new, "new"), (old, "old")):
        with page.expect_response("**/models"):
            version = {"version": 1, "state": "ready", "labels": [], "error": None}
            route.fulfill(json=[{"name": name, "versions": [version], "problems": []}])
    expect(page.get_by_role("heading", level=3, name="new")).to_be_visible()
    expect(page.get_by_role("heading", level=3, name="old")).to_be_hidden()
    expect(page.get_by_label("Model A", exact=True).locator("option")).to_have_text(["new"])


def test_a_second_click_on_the_camera_leaves_no_camera_on(open_page: Open) -> None:
    page = open_page(
        script="""
        globalThis.tracks = [];
        const getUserMedia = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = async (wanted) => {
            const stream = await getUserMedia(wanted);
            tracks.push(...stream.getTracks());
            return stream;
        };"""
    )
    page.evaluate("for (let i = 0; i < 2; i++) document.querySelector('#empty [data-camera]').click()")
    page.evaluate(f"{FRAMES}(() => tracks.length === 2 && document.getElementById('camera').videoWidth)")
    page.locator("#camera-cancel").click()
    page.evaluate(f"{FRAMES}(() => tracks.every((track) => track.readyState === 'ended'))")
    assert page.evaluate("tracks.map((track) => track.readyState)") == ["ended", "ended"]


def test_an_answer_that_arrives_leaves_the_focus_where_it_is(page: Page) -> None:
    held = Held(page, f"**/classify/{LITE0}")
    choose(page, photograph("coffee.jpg"))
    expect(column(page, "A")).to_contain_text("Classifying")
    version = page.get_by_label("Version of model A")
    version.focus()
    version.evaluate("select => (globalThis.before = select)")
    held.first(1)[0].continue_()
    expect(best(page, "A")).to_have_text("espresso")
    expect(version).to_be_focused()
    assert version.evaluate("select => select === before"), "an open list would have closed"
