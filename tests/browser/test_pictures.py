"""Pictures come from a dialog, a drop, the clipboard, the camera, or are samples; several at once."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.browser.person import best, choose, photograph

if TYPE_CHECKING:
    from playwright.sync_api import FilePayload, Page

pytestmark = pytest.mark.browser

TRANSFER = """(files) => {
    const transfer = new DataTransfer();
    for (const [name, type, content] of files) {
        const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
        transfer.items.add(new File([bytes], name, { type }));
    }
    return transfer;
}"""
HAND_OVER = {
    "drop": "(transfer) => document.body.dispatchEvent("
    "new DragEvent('drop', { bubbles: true, cancelable: true, dataTransfer: transfer }))",
    "paste": "(transfer) => document.body.dispatchEvent("
    "new ClipboardEvent('paste', { bubbles: true, clipboardData: transfer }))",
}


NOTES: FilePayload = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"notes"}


def hand_over(page: Page, event: str, *files: FilePayload) -> None:
    """Drop or paste files."""
    encoded = [[file["name"], file["mimeType"], base64.b64encode(file["buffer"]).decode()] for file in files]
    transfer = page.evaluate_handle(TRANSFER, encoded)
    transfer.evaluate(HAND_OVER[event])


def test_a_chosen_file_is_shown_and_classified(page: Page) -> None:
    choose(page, photograph("coffee.jpg"))
    expect(page.get_by_role("img", name="coffee.jpg")).to_be_visible()
    expect(best(page, "A")).to_have_text("espresso")


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_file_is_dropped_or_pasted_anywhere_on_the_page(page: Page, event: str) -> None:
    hand_over(page, event, photograph("chelsea.jpg"))
    expect(page.locator("#picture-name")).to_have_text("chelsea.jpg")
    expect(best(page, "A")).to_have_text("Egyptian cat")


def test_a_sample_is_one_click_away_and_names_its_photographer(page: Page) -> None:
    expect(page.locator("#samples li")).to_have_count(4)
    sample = page.get_by_role("button", name="Photographer")
    expect(sample).to_contain_text("Lav Varshney, CC0")
    sample.click()
    expect(best(page, "A")).to_have_text("tripod")


def test_the_camera_takes_a_photograph_and_is_switched_off(page: Page) -> None:
    page.locator("[data-camera]:visible").click()
    expect(page.locator("#camera")).to_have_js_property("paused", value=False)
    page.evaluate("globalThis.track = document.getElementById('camera').srcObject.getTracks()[0]")
    page.get_by_role("button", name="Take the photograph").click()
    expect(page.locator("#picture-name")).to_have_text("camera-1.jpg")
    expect(page.locator(".column.A .scores li")).to_have_count(5)
    assert page.evaluate("track.readyState") == "ended"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (
            "Object.defineProperty(navigator, 'mediaDevices', { value: undefined })",
            "only over HTTPS or on this machine",
        ),
        (
            "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', 'NotAllowedError'))",
            "Allow it in the browser’s settings",  # noqa: RUF001
        ),
        (
            "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', 'NotFoundError'))",
            "There is no camera",
        ),
    ],
)
def test_a_camera_that_cannot_be_used_is_explained(open_page: Open, script: str, told: str) -> None:
    page = open_page(script=script)
    page.locator("[data-camera]:visible").click()
    expect(page.get_by_role("alert")).to_contain_text(told)


def test_several_pictures_are_classified_at_once_and_told_apart(page: Page) -> None:
    choose(page, photograph("coffee.jpg"), photograph("chelsea.jpg"), photograph("rocket.jpg"))
    captions = page.locator("#thumbnails li")
    expect(captions).to_have_text(["espresso", "Egyptian cat", "missile"])
    expect(best(page, "A")).to_have_text("espresso")
    captions.nth(1).get_by_role("button").click()
    expect(page.locator("#picture-name")).to_have_text("chelsea.jpg")
    expect(best(page, "A")).to_have_text("Egyptian cat")


def test_a_picture_is_removed_and_the_page_is_empty_after_the_last(page: Page) -> None:
    choose(page, photograph("coffee.jpg"), photograph("chelsea.jpg"))
    for name in ("chelsea.jpg", None):
        page.get_by_role("button", name="Remove this picture").click()
        if name:
            expect(page.locator("#picture-name")).to_have_text(name)
    expect(page.get_by_text("Drop photographs here")).to_be_visible()
    expect(page.locator("#code")).to_be_hidden()


def test_a_file_that_is_no_picture_is_refused_in_words(page: Page) -> None:
    hand_over(page, "drop", NOTES)
    expect(page.get_by_role("alert")).to_contain_text("notes.txt: not a picture. Choose JPEG, PNG")
    page.get_by_role("button", name="Close this message").click()
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_file_among_pictures_that_is_no_picture_is_named_too(page: Page) -> None:
    hand_over(page, "drop", NOTES, photograph("coffee.jpg"))
    expect(best(page, "A")).to_have_text("espresso")
    expect(page.get_by_role("alert")).to_contain_text("notes.txt: not a picture.")


def test_a_sample_brings_its_picture_into_view_on_a_phone(open_page: Open) -> None:
    page = open_page(viewport={"width": 390, "height": 780})
    page.locator(".column").wait_for()
    for name, file in (("Cat", "chelsea.jpg"), ("Rocket", "rocket.jpg")):
        page.locator("#samples").get_by_role("button", name=name).click()
        expect(page.locator("#picture-name")).to_have_text(file)
        expect(page.locator("#frame")).to_be_in_viewport(ratio=0.9)


def test_pictures_beyond_the_limit_are_left_out_and_the_person_is_told(page: Page) -> None:
    choose(page, *[photograph("chelsea.jpg")] * 26)
    expect(page.locator("#thumbnails li")).to_have_count(24)
    expect(page.get_by_role("alert")).to_contain_text("room for 24 pictures: 2 were left out")
