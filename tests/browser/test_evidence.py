"""A click on a class shows its evidence over the picture, as strong as the slider says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import TAGS
from tests.browser.person import best, choose, column, compare, photograph, select

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

COLOURED = """canvas => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let bright = 0;
    for (let place = 0; place < data.length; place += 4) bright += data[place] > 200 && data[place + 3] > 200;
    return bright / (data.length / 4);
}"""


@pytest.fixture
def espresso(page: Page) -> Page:
    """The page with the evidence for an espresso."""
    choose(page, photograph("coffee.jpg"))
    column(page, "A").get_by_role("button", name="espresso").click()
    expect(page.locator("#heat")).to_be_visible()
    return page


def test_the_evidence_for_a_class_lies_over_the_part_that_the_network_sees(espresso: Page) -> None:
    expect(espresso.locator("#evidence")).to_contain_text("Where efficientnet-lite0, version 1, sees “espresso”")
    expect(espresso.get_by_role("img", name="Evidence for espresso: strongest at the")).to_be_visible()
    assert 0.01 < espresso.locator("#heat").evaluate(COLOURED) < 0.5
    picture, heat = espresso.locator("#picture").bounding_box(), espresso.locator("#heat").bounding_box()
    assert picture == pytest.approx(heat, abs=0.5)


def test_the_slider_fades_the_evidence(espresso: Page) -> None:
    slider = espresso.get_by_label("Opacity")
    slider.focus()
    espresso.keyboard.press("Home")
    expect(espresso.locator("#heat")).to_have_css("opacity", "0")
    espresso.keyboard.press("End")
    expect(espresso.locator("#heat")).to_have_css("opacity", "1")


def test_another_class_has_other_evidence(espresso: Page) -> None:
    before = espresso.locator("#heat").evaluate("canvas => canvas.toDataURL()")
    column(espresso, "A").get_by_role("button", name="cup").click()
    expect(espresso.get_by_role("img", name="Evidence for cup")).to_be_visible()
    assert espresso.locator("#heat").evaluate("canvas => canvas.toDataURL()") != before


def test_the_evidence_is_hidden_again_and_the_focus_goes_back_to_the_class(espresso: Page) -> None:
    espresso.get_by_role("button", name="Hide").click()
    expect(espresso.locator("#heat")).to_be_hidden()
    expect(column(espresso, "A").get_by_role("button", name="espresso")).to_be_focused()


def test_the_evidence_goes_when_the_picture_changes(espresso: Page) -> None:
    choose(espresso, photograph("chelsea.jpg"))
    expect(espresso.locator("#heat")).to_be_hidden()


def test_a_network_without_maps_says_so(page: Page) -> None:
    choose(page, photograph("coffee.jpg"))
    compare(page, TAGS)
    expect(best(page, "B")).to_have_text("indoors")
    expect(column(page, "B")).to_contain_text("Its network has no maps of evidence.")
    expect(column(page, "B").locator("button.class")).to_have_count(0)
    select(page, "B", TAGS, "version 1")
    expect(best(page, "B")).to_have_text("indoors")
