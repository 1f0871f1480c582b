"""The lines below the answers do on a command line and in Python what the page has just done."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import TINY, Open
from tests.browser.person import WEB, best, choose, column, compare, photograph, select

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@pytest.fixture
def compared(page: Page) -> Page:
    """The page after two models were asked, and one of them for its evidence."""
    choose(page, photograph("coffee.jpg"))
    compare(page, TINY, "stable (2)")
    expect(best(page, "B")).to_have_text("two")
    column(page, "A").get_by_role("button", name="espresso").click()
    expect(page.locator("#heat")).to_be_visible()
    return page


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the photograph."""
    shutil.copy(WEB / "coffee.jpg", tmp_path)
    return tmp_path


def test_the_curl_lines_give_the_answers_of_the_page(compared: Page, folder: Path) -> None:
    calls = compared.locator("#curl").inner_text().split("\n\n")
    answers = [
        json.loads(subprocess.run(["bash", "-c", call], cwd=folder, check=True, capture_output=True).stdout)
        for call in calls
    ]
    assert [answer["images"][0][0]["label"] for answer in answers[:2]] == ["espresso", "two"]
    assert answers[2]["class"]["label"] == "espresso"


def test_the_python_lines_give_the_answers_of_the_page(compared: Page, folder: Path) -> None:
    lines = compared.locator("#python").inner_text()
    run = subprocess.run([sys.executable, "-c", lines], cwd=folder, check=True, capture_output=True, text=True)
    espresso, two, *grid = run.stdout.splitlines()
    assert espresso.startswith("espresso 0.9")
    assert two.startswith("two 0.9")
    assert grid[0].startswith("[[")


def test_a_file_name_with_quotes_stays_one_argument(page: Page) -> None:
    choose(page, {**photograph("coffee.jpg"), "name": 'it\'s $HOME "x".jpg'})
    expect(page.locator("#curl")).to_contain_text("""--data-binary '@it'\\''s $HOME "x".jpg'""")
    expect(page.locator("#python")).to_contain_text('client.classify("it\'s $HOME \\"x\\".jpg"')


def test_lines_name_the_version_or_label_that_was_chosen(page: Page) -> None:
    choose(page, photograph("coffee.jpg"))
    select(page, "A", TINY, "version 1")
    expect(page.locator("#curl")).to_contain_text("/classify/tiny/versions/1'")
    expect(page.locator("#python")).to_contain_text('"tiny", version=1)')
    select(page, "A", TINY, "canary (4)")
    expect(page.locator("#curl")).to_contain_text("/classify/tiny/labels/canary'")
    expect(page.locator("#python")).to_contain_text('"tiny", label="canary")')


def test_lines_are_copied_to_the_clipboard(open_page: Open) -> None:
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    choose(page, photograph("coffee.jpg"))
    page.get_by_role("button", name="Copy the Python lines").click()
    expect(page.locator("[data-copy=python]")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#python").inner_text()


def test_without_a_clipboard_the_lines_are_selected(open_page: Open) -> None:
    page = open_page(script="Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    choose(page, photograph("coffee.jpg"))
    page.get_by_role("button", name="Copy the curl lines").click()
    expect(page.locator("[data-copy=curl]")).to_have_text("Press Ctrl+C")
    selected = page.evaluate("getSelection().toString()")
    assert selected.strip() == page.locator("#curl").inner_text().strip()
