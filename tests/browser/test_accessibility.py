"""The page can be used with a keyboard, a screen reader, a phone, in the dark, and without motion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.conftest import COLOURS, LITE0, TAGS, TINY, UNTRAINED, Open
from tests.browser.person import best, card, choose, column, compare, photograph, select
from tests.support.gateway import Gateway

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 780}


def serious_findings(page: Page) -> list[str]:
    """What keeps people from using the page, found by axe."""
    violations: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {each['help']}: {[node['html'] for node in each['nodes']]}"
        for each in violations
        if each["impact"] in {"serious", "critical"}
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing_serious_in_any_state(open_page: Open, scheme: str, width: int) -> None:
    page = open_page(color_scheme=scheme, viewport={"width": width, "height": 800}, reduced_motion="reduce")
    page.locator(".column .cost").wait_for()
    assert serious_findings(page) == [], "empty"
    choose(page, photograph("coffee.jpg"), photograph("chelsea.jpg"))
    for model in (UNTRAINED, TAGS, TINY):
        compare(page, model)
    expect(best(page, "D")).to_contain_text("one")
    column(page, "A").get_by_role("button", name="espresso").click()
    expect(page.locator("#heat")).to_be_visible()
    assert serious_findings(page) == [], "compared"
    page.route("**/classify/**", lambda route: route.fulfill(status=500, json={"title": "x", "request_id": "1"}))
    page.get_by_label("Version of model B").select_option("versions/1")
    expect(page.locator(".failure")).to_be_visible()
    assert serious_findings(page) == [], "failed"
    page.get_by_role("button", name="Key").click()
    assert serious_findings(page) == [], "key"
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("link", name="Models").click()
    card(page, LITE0, 1)
    assert serious_findings(page) == [], "models"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing_serious_where_int8_is_described(
    open_page: Open, quantized_gateway: Gateway, scheme: str, width: int
) -> None:
    page = open_page(quantized_gateway.port, color_scheme=scheme, viewport={"width": width, "height": 800})
    select(page, "A", COLOURS, "version 2")
    choose(page, photograph("coffee.jpg"))
    expect(page.locator(".time .arithmetic")).to_be_visible()
    assert serious_findings(page) == [], "answered"
    page.get_by_role("link", name="Models").click()
    card(page, COLOURS, 2)
    assert serious_findings(page) == [], "models"


def test_everything_is_done_with_the_keyboard_alone(page: Page) -> None:
    def press_until(selector: str, key: str = "Tab") -> None:
        for _ in range(60):
            page.keyboard.press(key)
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
        pytest.fail(f"{key} never reached {selector}")

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    press_until(".sample")
    page.keyboard.press("Enter")
    expect(best(page, "A")).to_have_text("espresso")
    press_until("#add-contender")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Model B", exact=True)).to_be_focused()
    page.keyboard.type(TINY)
    expect(best(page, "B")).to_contain_text("one")
    expect(page.get_by_label("Model B", exact=True)).to_be_focused()
    press_until(".column.A .class", "Shift+Tab")
    page.keyboard.press("Space")
    expect(page.locator("#heat")).to_be_visible()
    assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
    page.keyboard.press("Space")
    expect(page.locator("#heat")).to_be_hidden()


def test_the_skip_link_stays_in_the_view(page: Page) -> None:
    page.get_by_role("link", name="Models").click()
    expect(page.get_by_role("heading", name="Models", level=1)).to_be_focused()
    page.get_by_role("link", name="Skip to the content").press("Enter")
    expect(page.locator("main")).to_be_focused()
    expect(page.get_by_role("heading", name="Models", level=1)).to_be_visible()


def test_the_focus_moves_only_if_its_place_is_gone(page: Page) -> None:
    page.get_by_role("button", name="Photographer").press("Enter")
    expect(best(page, "A")).to_have_text("tripod")
    expect(page.get_by_role("button", name="Photographer")).to_be_focused()
    page.get_by_role("button", name="Remove this picture").click()
    expect(page.get_by_role("button", name="Choose files")).to_be_focused()
    choose(page, photograph("coffee.jpg"))
    expect(page.get_by_role("button", name="Add files")).to_be_focused()


def test_a_failure_is_read_out_each_time(page: Page) -> None:
    said = page.locator("#announcements")
    page.route("**/classify/**", lambda route: route.fulfill(status=503, json={"title": "Busy"}))
    choose(page, photograph("coffee.jpg"))
    for _ in range(2):
        expect(said).to_contain_text("A: Busy.")
        said.evaluate("node => node.replaceChildren()")
        column(page, "A").get_by_role("button", name="Try again").click()
    expect(said).to_contain_text("A: Busy.")
    page.unroute("**/classify/**")
    column(page, "A").get_by_role("button", name="Try again").click()
    page.route("**/explain/**", lambda route: route.fulfill(status=503, json={"title": "No map now"}))
    column(page, "A").get_by_role("button", name="espresso").click()
    expect(said).to_contain_text("No map now.")


def test_answers_are_read_out(page: Page) -> None:
    said = page.get_by_role("status").filter(has_text="coffee.jpg")
    choose(page, photograph("coffee.jpg"))
    expect(said).to_contain_text("coffee.jpg. A: espresso, 95.")
    compare(page, LITE0, "version 1")
    expect(said).to_contain_text("A and B agree: “espresso”")


def test_a_class_has_a_name_a_score_and_a_state(page: Page) -> None:
    choose(page, photograph("coffee.jpg"))
    espresso = column(page, "A").get_by_role("button", name="espresso 9")
    expect(espresso).to_have_attribute("aria-pressed", "false")
    espresso.click()
    expect(espresso).to_have_attribute("aria-pressed", "true")


@pytest.mark.parametrize("width", [320, 390, 768, 1280, 1920])
def test_nothing_is_wider_than_the_window(open_page: Open, width: int) -> None:
    page = open_page(viewport={"width": width, "height": 800})
    choose(page, {**photograph("coffee.jpg"), "name": "x" * 120 + ".jpg"})
    compare(page, UNTRAINED)
    column(page, "A").get_by_role("button", name="espresso").click()
    expect(page.locator("#heat")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("link", name="Models").click()
    card(page, LITE0, 1)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_what_describes_int8_is_not_wider_than_the_window(
    open_page: Open, quantized_gateway: Gateway, width: int
) -> None:
    page = open_page(quantized_gateway.port, viewport={"width": width, "height": 800})
    select(page, "A", COLOURS, "version 2")
    choose(page, photograph("coffee.jpg"))
    expect(page.locator(".time .arithmetic")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("link", name="Models").click()
    card(page, COLOURS, 2)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [320, 390])
def test_scores_stay_on_one_line_beside_the_longest_label(open_page: Open, width: int) -> None:
    page = open_page(viewport={"width": width, "height": 780})
    label = "black-and-tan coonhound, a very long name of a class that needs several lines on a telephone"
    scores = [{"index": index, "label": label, "wordnet_id": None, "score": 0.957} for index in range(3)]
    answer = {"model": LITE0, "version": 1, "trained": True, "weights": "x", "multi_label": False, "images": [scores]}
    page.route("**/classify/**", lambda route: route.fulfill(json=answer))
    choose(page, photograph("coffee.jpg"))
    score = page.locator(".score").first
    expect(score).to_have_text("95.7\u00a0%")
    assert score.evaluate("node => node.getClientRects().length") == 1
    assert score.evaluate("node => node.offsetHeight < 1.6 * parseFloat(getComputedStyle(node).fontSize)")


def test_targets_are_large_enough_for_a_finger(open_page: Open) -> None:
    page = open_page(viewport=PHONE, has_touch=True)
    choose(page, photograph("coffee.jpg"))
    expect(best(page, "A")).to_have_text("espresso")
    small = page.evaluate(
        "[...document.querySelectorAll('button, select, nav a')]"
        ".filter((node) => node.checkVisibility() && Math.min(node.offsetHeight, node.offsetWidth) < 24)"
        ".map((node) => node.outerHTML)"
    )
    assert small == []


def test_nothing_moves_for_people_who_want_no_motion(open_page: Open) -> None:
    page = open_page(reduced_motion="reduce")
    page.route("**/classify/**", lambda route: None)
    choose(page, photograph("coffee.jpg"))
    expect(page.locator(".skeleton")).to_be_visible()
    assert page.evaluate("document.getAnimations().length") == 0
