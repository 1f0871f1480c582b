"""Models, versions and labels stand side by side on the same picture, with what their answers took and cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import LITE0, TAGS, TINY, UNTRAINED
from tests.browser.person import best, choose, column, compare, photograph, select

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@pytest.fixture
def espresso(page: Page) -> Page:
    """The page with the picture of an espresso."""
    choose(page, photograph("coffee.jpg"))
    expect(best(page, "A")).to_have_text("espresso")
    return page


def test_versions_and_labels_of_a_model_answer_side_by_side(espresso: Page) -> None:
    select(espresso, "A", TINY, "stable (2)")
    compare(espresso, TINY, "version 1")
    compare(espresso, TINY)
    for letter, label, version in (("A", "two", 2), ("B", "one", 1), ("C", "one", 4)):
        expect(best(espresso, letter)).to_contain_text(label)
        expect(column(espresso, letter)).to_contain_text(f"Version {version}")
    bars = espresso.locator(".column .scores li:first-child .bar i")
    for index in range(3):
        assert bars.nth(index).evaluate("bar => bar.offsetWidth / bar.parentElement.offsetWidth") > 0.9


def test_agreement_is_marked_and_disagreement_is_spelt_out(espresso: Page) -> None:
    select(espresso, "A", TINY, "version 1")
    compare(espresso, TINY, "canary (4)")
    expect(espresso.locator("#verdict")).to_have_text("✓A and B agree: “one”")
    expect(best(espresso, "A").locator(".also")).to_have_text(", also B")
    select(espresso, "B", TINY, "version 2")
    expect(espresso.locator("#verdict")).to_have_text("≠A says “one”; B says “two”")
    compare(espresso, TINY)
    expect(espresso.locator("#verdict")).to_have_text("≠A and C say “one”; B says “two”")


def test_a_model_that_cannot_agree_is_said_to_lack_the_class(espresso: Page) -> None:
    compare(espresso, TINY)
    verdict = espresso.locator("#verdict")
    expect(verdict).to_have_text("≠A says “espresso”; B says “one”. A has no class “one”. B has no class “espresso”")


def test_agreement_is_counted_over_several_pictures(page: Page) -> None:
    choose(page, photograph("coffee.jpg"), photograph("chelsea.jpg"))
    compare(page, LITE0, "version 1")
    expect(page.locator("#summary")).to_have_text("A and B agree on 2 of 2 pictures")
    select(page, "B", TINY)
    expect(page.locator("#summary")).to_have_text("A and B agree on 0 of 2 pictures")


def test_a_column_can_be_taken_away_and_there_are_four_at_most(espresso: Page) -> None:
    for _ in range(3):
        espresso.get_by_role("button", name="Compare with another").click()
    expect(espresso.get_by_role("button", name="Compare with another")).to_be_hidden()
    espresso.get_by_role("button", name="Do not compare with model B").click()
    expect(espresso.locator(".column")).to_have_count(3)


def test_phases_add_up_to_the_time_and_costs_come_with_their_source(espresso: Page) -> None:
    time = column(espresso, "A").locator(".time")
    for phase in ("decode", "queue", "inference", "network"):
        expect(time.locator("dt", has_text=phase)).to_be_visible()
    cost = column(espresso, "A").locator(".cost")
    expect(cost).to_contain_text("parameters4.69\u00a0M")
    expect(cost).to_contain_text("multiply-adds385\u00a0M")
    expect(cost).to_contain_text("published top\u2011175.1\u00a0%")
    expect(cost).to_contain_text("224\u00a0×\u00a0224 pixels")  # noqa: RUF001
    expect(cost).to_contain_text("tensorflow/tpu, models/official/efficientnet/lite/README.md")


def test_an_accuracy_is_stated_only_for_the_weights_that_it_was_published_for(espresso: Page) -> None:
    select(espresso, "A", TINY)
    cost = column(espresso, "A").locator(".cost")
    expect(cost).to_contain_text("Not known: the network is not in the registry.")
    expect(cost).to_contain_text("No accuracy is published for these weights: nothing: its answer is built in.")
    expect(cost).not_to_contain_text("published top")


def test_untrained_weights_are_said_large_and_never_counted_as_an_opinion(espresso: Page) -> None:
    compare(espresso, UNTRAINED)
    untrained = column(espresso, "B").get_by_text("Untrained", exact=True)
    expect(untrained).to_be_visible()
    assert untrained.evaluate("node => parseFloat(getComputedStyle(node).fontSize)") >= 24
    expect(column(espresso, "B")).to_contain_text("these scores mean nothing")
    expect(espresso.locator("#verdict")).to_be_empty()
    compare(espresso, UNTRAINED)
    expect(best(espresso, "C")).to_have_text("class 0")
    expect(espresso.locator(".also")).to_have_count(0)


def test_independent_classes_are_said_to_be_independent(espresso: Page) -> None:
    select(espresso, "A", TAGS)
    expect(best(espresso, "A")).to_have_text("indoors")
    expect(column(espresso, "A")).to_contain_text("several classes may apply: each score stands for itself")


def test_the_first_load_of_a_model_is_announced(espresso: Page) -> None:
    listed = espresso.request.get(f"{espresso.url.partition('#')[0]}models").json()
    for model in listed:
        for version in model["versions"]:
            version["state"] = "idle"
    espresso.route("**/models", lambda route: route.fulfill(json=listed))
    espresso.route("**/classify/**", lambda route: None)
    espresso.reload()
    choose(espresso, photograph("coffee.jpg"))
    expect(column(espresso, "A")).to_contain_text(f"Loading {LITE0} for the first time, which takes some seconds…")
    expect(column(espresso, "A")).to_have_attribute("aria-busy", "true")
