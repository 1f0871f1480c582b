"""A gateway with keys asks for a key once; the page keeps it for the session and sends it with each request."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import LITE0, TINY, Open
from tests.browser.person import best, choose, column, compare, photograph
from tests.support.gateway import COMMAND, running_gateway

pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class Locked:
    """A gateway that wants a key, and two keys."""

    port: int
    everything: str
    tiny_only: str


@pytest.fixture(scope="module")
def locked(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    folder = tmp_path_factory.mktemp("locked")
    keys = folder / "keys.json"

    def new(name: str, *options: str) -> str:
        made = [str(COMMAND), "keys", "new", name, "--keys", str(keys), *options]
        return subprocess.run(made, check=True, capture_output=True, text=True).stdout.split()[-1]

    everything, tiny_only = new("ada"), new("ben", "--model", TINY)
    with running_gateway(models, folder / "log", "--keys", str(keys)) as gateway:
        yield Locked(gateway.port, everything, tiny_only)


def test_the_page_asks_for_a_key_and_then_works(open_page: Open, locked: Locked) -> None:
    page = open_page(locked.port)
    dialog = page.get_by_role("dialog", name="Key")
    expect(dialog.get_by_role("textbox", name="Key")).to_be_focused()
    dialog.get_by_role("textbox", name="Key").fill("wrong")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_have_text("The gateway did not accept this key.")
    dialog.get_by_role("textbox", name="Key").fill(f"  {locked.everything} ")
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    choose(page, photograph("coffee.jpg"))
    expect(best(page, "A")).to_have_text("espresso")
    expect(page.get_by_role("link", name="API")).to_be_hidden()


def test_a_key_is_kept_for_the_session_and_nowhere_else(open_page: Open, locked: Locked) -> None:
    page = open_page(locked.port)
    page.get_by_role("textbox", name="Key").fill(locked.everything)
    page.get_by_role("button", name="Use this key").click()
    expect(page.locator(".column")).to_be_visible()
    choose(page, photograph("coffee.jpg"))
    expect(best(page, "A")).to_have_text("espresso")
    assert locked.everything not in page.content()
    assert page.evaluate("localStorage.length") == 0
    assert page.context.cookies() == []
    page.reload()
    expect(page.locator(".column")).to_be_visible()
    page.get_by_role("button", name="Key").click()
    page.get_by_role("button", name="Forget the key").click()
    expect(page.get_by_role("dialog", name="Key")).to_be_visible()
    other = open_page(locked.port)
    expect(other.get_by_role("dialog", name="Key")).to_be_visible()


def test_a_person_without_a_key_is_told_what_to_do(open_page: Open, locked: Locked) -> None:
    page = open_page(locked.port)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("alert")).to_contain_text("The operator of this gateway hands out keys.")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("dialog", name="Key")).to_be_visible()


def test_a_key_for_some_models_shows_these_models(open_page: Open, locked: Locked) -> None:
    page = open_page(locked.port)
    page.get_by_role("textbox", name="Key").fill(locked.tiny_only)
    page.keyboard.press("Enter")
    expect(page.get_by_label("Model A", exact=True).locator("option")).to_have_text([TINY])


def test_a_model_that_the_key_is_not_for_is_refused_in_words(open_page: Open, locked: Locked) -> None:
    page = open_page(locked.port)
    page.get_by_role("textbox", name="Key").fill(locked.everything)
    page.keyboard.press("Enter")
    expect(page.locator(".column")).to_be_visible()
    page.evaluate("key => sessionStorage.setItem('keras-archs key', key)", locked.tiny_only)
    choose(page, photograph("coffee.jpg"))
    compare(page, TINY)
    expect(best(page, "B")).to_have_text("one")
    expect(column(page, "A")).to_contain_text("The model is not allowed.")
    expect(column(page, "A")).to_contain_text("ask the operator for a key that may use this model")
    assert LITE0 in column(page, "A").inner_text()


def test_the_lines_to_copy_never_contain_the_key(open_page: Open, locked: Locked) -> None:
    page = open_page(locked.port)
    page.get_by_role("textbox", name="Key").fill(locked.everything)
    page.keyboard.press("Enter")
    choose(page, photograph("coffee.jpg"))
    expect(page.locator("#curl")).to_contain_text('-H "Authorization: Bearer $KERAS_ARCHS_KEY"')
    expect(page.locator("#python")).to_contain_text('key=os.environ["KERAS_ARCHS_KEY"]')
    assert locked.everything not in page.locator("#code").inner_text()
