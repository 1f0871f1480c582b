"""The frame of a page links to its sections and forbids the page to load anything."""

from __future__ import annotations

from keras_archs.training.pages.frame import Section, page
from keras_archs.training.pages.lists import LISTED, listed
from tests.support.html_page import Page


def test_a_section_without_content_is_left_out() -> None:
    text = page("Title", [Section("First", "a"), Section("Empty", ""), Section("Last", "b")], header="", summary="")
    shown = Page(text)
    assert shown.headings == ["First", "Last"]
    assert '<a href="#1">Last</a>' in text
    assert '<h2 id="1">Last</h2>' in text


def test_a_policy_forbids_to_load_anything() -> None:
    assert "content=\"default-src 'none'; img-src data:;" in page("Title", [], header="", summary="")


def test_a_title_is_text() -> None:
    shown = Page(page("</title><script>", [], header="", summary=""))
    assert shown.tags.count("script") == 1
    assert shown.text.startswith("</title><script>")


def test_a_long_list_is_cut_and_says_so() -> None:
    text = listed("Files.", [f"{number}.txt" for number in range(LISTED + 5)])
    assert Page(text).tags.count("li") == LISTED
    assert "and 5 more" in text
    assert listed("Files.", []) == ""
