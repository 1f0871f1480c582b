"""What a person does on the page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import FilePayload, Locator, Page

WEB = Path(__file__).parents[2] / "serving" / "web"


def photograph(name: str) -> FilePayload:
    """A sample photograph as a file to choose, e.g. "coffee.jpg"."""
    return {"name": name, "mimeType": "image/jpeg", "buffer": (WEB / name).read_bytes()}


def choose(page: Page, *files: FilePayload) -> None:
    """Choose files in the dialog of the browser."""
    with page.expect_file_chooser() as chooser:
        page.locator("[data-choose]:visible").click()
    chooser.value.set_files(list(files))


def select(page: Page, letter: str, model: str, version: str = "newest") -> None:
    """Choose model and version in a column."""
    page.get_by_label(f"Model {letter}", exact=True).select_option(model)
    page.get_by_label(f"Version of model {letter}", exact=True).select_option(label=version)


def compare(page: Page, model: str, version: str = "newest") -> None:
    """Add a column."""
    page.get_by_role("button", name="Compare with another").click()
    letter = "ABCD"[page.locator(".column").count() - 1]
    select(page, letter, model, version)


def column(page: Page, letter: str) -> Locator:
    """The column of a model."""
    return page.locator(f".column.{letter}")


def best(page: Page, letter: str) -> Locator:
    """The label of the best class in a column."""
    return column(page, letter).locator(".scores li:first-child .label")


def model(page: Page, name: str) -> Locator:
    """The entry of a model."""
    return page.locator(".model", has=page.get_by_role("heading", name=name, exact=True))


def card(page: Page, name: str, version: int) -> Locator:
    """The card of a version, opened."""
    page.get_by_role("button", name=f"Card of {name}, version {version}", exact=True).click()
    shown = model(page, name).locator(".card")
    expect(shown.locator("dl")).to_be_visible()
    return shown
