"""The page of an evaluation shows everything, needs nothing else, and is as safe as the names on it are not."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from docs.tools.check_site import remote_resources
from keras_archs.images.labels import Label
from keras_archs.training.data.labelled_images import NamedImages
from keras_archs.training.evaluation.evaluating import evaluate
from keras_archs.training.evaluation.report import WORST, html_report
from keras_archs.training.evaluation.summary import Evaluation, PublishedAccuracy, Subject
from keras_archs.training.pages.lists import LISTED
from tests.support.html_page import Page
from tests.support.shades import CARD, TABLE, Shades, paint

NASTY = "</title><script>alert('1')</script>&\""


def evaluation(
    folder: Path, shades: list[int | None], classes: list[int], *, label: str = "owl", ignored: tuple[str, ...] = ()
) -> Evaluation:
    labels = tuple(Label(label, "n00000001") if each.name == "owl" else each for each in CARD.labels)
    images = paint(folder, shades, classes)
    answers = evaluate(Shades(TABLE), replace(CARD, labels=labels), images)
    named = NamedImages(folder, images.paths, [], np.zeros(0, np.int32), "class folders", (), ignored)
    published = PublishedAccuracy(top1=75.0, top5=99.0, source="a paper")
    return Evaluation(Subject("shades", 3, "weights of a test", published), str(folder), named, answers)


def test_the_page_shows_what_was_measured(tmp_path: Path) -> None:
    page = Page(html_report(evaluation(tmp_path, [0, 0, 1, 1, None], [0, 1, 1, 2, 2]), CARD.preprocessing))
    text = page.text
    assert "Accuracy of shades version 3 weights of a test 4 images of 3 of 7 classes" in text
    assert "top-1 50.0 % 2 of 4; 95 % interval 15.0 % to 85.0 % published: 75 %, inside the interval" in text
    assert "The images here do not show all classes" in text
    assert "4.png: The image is damaged or incomplete." in text
    confusions, classes = page.rows[1:3], page.rows[4:]
    assert sorted(confusions) == [["dog", "cat", "1"], ["owl", "dog", "1"]]
    assert [row[:3] for row in classes[:3]] == [
        ["owl n00000001", "0.0 %", "100.0 %"],
        ["dog", "50.0 %", "100.0 %"],
        ["cat", "100.0 %", "100.0 %"],
    ]
    assert len(page.pictures) == 2


def test_the_page_loads_nothing_and_a_policy_forbids_it(tmp_path: Path) -> None:
    page = tmp_path / "site" / "page.html"
    page.parent.mkdir()
    page.write_text(html_report(evaluation(tmp_path, [0, 1], [0, 0]), CARD.preprocessing))
    assert remote_resources(page.parent) == []
    assert all(picture.startswith("data:image/jpeg;base64,") for picture in Page(page.read_text()).pictures)
    assert "default-src 'none'" in page.read_text()


def test_names_of_classes_and_files_are_text(tmp_path: Path) -> None:
    measured = evaluation(tmp_path, [0, 2], [2, 0], label=NASTY, ignored=(NASTY, "caf\udce9.txt"))
    measured = replace(measured, subject=Subject(NASTY, None, NASTY), source=NASTY)
    text = html_report(measured, CARD.preprocessing)
    assert Page(text).tags.count("script") == 1
    assert text.count("</title>") == 1
    assert "alert('1')" not in text
    text.encode("utf-8")


def test_the_page_stays_small_however_many_images_there_are(tmp_path: Path) -> None:
    count = WORST + 10
    ignored = tuple(f"{number}.txt" for number in range(LISTED + 7))
    page = html_report(evaluation(tmp_path, [0] * count, [1] * count, ignored=ignored), CARD.preprocessing)
    assert len(Page(page).pictures) == WORST
    assert len(re.findall(r"\d+\.txt", page)) == LISTED
    assert "and 7 more" in page


def test_a_picture_that_has_gone_leaves_an_empty_frame(tmp_path: Path) -> None:
    measured = evaluation(tmp_path, [0, 0], [0, 1])
    (tmp_path / "1.png").unlink()
    page = Page(html_report(measured, CARD.preprocessing))
    assert page.pictures == []
    assert "1.png" in page.words


@pytest.mark.parametrize("classes", [5, 7])
def test_top5_is_shown_for_more_than_five_classes(tmp_path: Path, classes: int) -> None:
    card = replace(CARD, labels=CARD.labels[:classes])
    images = paint(tmp_path, [0], [0])
    answers = evaluate(Shades(TABLE[:, :classes]), card, images)
    named = NamedImages(tmp_path, images.paths, [], np.zeros(0, np.int32), "class folders")
    measured = Evaluation(Subject("shades", 1, "a test"), "folder", named, answers)
    assert ("top-5" in html_report(measured, card.preprocessing)) is (classes > 5)
    assert ("top5" in measured.to_json()) is (classes > 5)
