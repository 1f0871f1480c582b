"""The page of a training loads nothing, takes any name for text, and stays small."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from docs.tools.check_site import remote_resources
from keras_archs.training.data.dataset import Dataset
from keras_archs.training.data.faults import DataFaults, Duplicate, Suspect
from keras_archs.training.data.labelled_images import LabelledImages
from keras_archs.training.runs.report import report
from tests.support.answers import answers_of
from tests.support.html_page import Page
from tests.support.outcomes import PREPROCESSING, an_outcome, epochs

NASTY = "</title></svg></style><script>alert(1)</script><img src=x onerror='alert(2)'>\"&\u202e\n\udce9"


def test_the_page_loads_nothing(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    outcome = an_outcome(tmp_path, history=epochs(3), overlay=lambda pixels, _: pixels)
    (site / "report.html").write_text(report(outcome), encoding="utf-8")
    text = (site / "report.html").read_text(encoding="utf-8")
    assert remote_resources(site) == []
    assert "default-src 'none'" in text
    assert "url(" not in text
    assert all(picture.startswith("data:image/jpeg;base64,") for picture in Page(text).pictures)


def test_names_are_text_wherever_they_are(tmp_path: Path) -> None:
    outcome = an_outcome(tmp_path, classes=(NASTY, "dog", f"{NASTY}2"), history=epochs(3))
    (tmp_path / "plain").mkdir()
    harmless = an_outcome(tmp_path / "plain", history=epochs(3))
    images = replace(outcome.data.validation, paths=[f"{NASTY}{number}.png" for number in range(6)])

    def faults(name: str) -> DataFaults:
        return DataFaults(
            duplicates=(Duplicate(name, "train", f"{name}0.png", "validation", 1, False),),
            suspects=(Suspect(name, "train", 0, 2, 0.9),),
            small_classes={name: 1},
            unreadable={name: name},
            empty_classes=(name,),
            ignored=(name,),
            repeated=(name,),
        )

    text = report(
        replace(
            outcome,
            name=NASTY,
            network=NASTY,
            method=NASTY,
            settings={NASTY: NASTY},
            data=replace(outcome.data, source=NASTY, validation=images),
            validation=replace(outcome.validation, images=images),
            faults=faults(NASTY),
            published=NASTY,
            notes=[NASTY],
        )
    )
    plain = Page(report(replace(harmless, faults=faults("a"), published="a", notes=["a"])))
    nasty = Page(text)
    without_pictures = [tag for tag in plain.tags if tag != "img"]
    assert sorted(set(nasty.tags)) == sorted(set(without_pictures))
    assert nasty.tags.count("script") == nasty.tags.count("title") - plain.tags.count("title") + 1 == 1
    assert "onerror" not in nasty.attributes
    assert "alert(1)" in nasty.text
    text.encode("utf-8")
    assert "\u202e" not in text


def test_names_of_300_characters_are_shortened_but_in_the_table_of_classes(tmp_path: Path) -> None:
    long = "x" * 150 + "y" * 150
    text = report(an_outcome(tmp_path, classes=(long, "dog", "owl"), history=epochs(2)))
    assert text.count(long) == 1
    assert "xxx…yyy" in text


def test_a_thousand_classes_and_a_hundred_thousand_images_fit_on_a_page(tmp_path: Path) -> None:
    hostile = "<&\u202e" * 80
    classes = tuple(f"class {number} {hostile}" for number in range(1000))
    random = np.random.default_rng(0)
    right = random.integers(0, 1000, 100_000)
    predicted = np.where(random.uniform(size=100_000) < 0.6, right, random.integers(0, 1000, 100_000))
    paths = [f"{classes[index]}/{number}.jpg" for number, index in enumerate(right.tolist())]
    probability = random.uniform(size=100_000)
    answers = answers_of(right, predicted, classes=classes, probability=probability, root=tmp_path, paths=paths)
    faults = DataFaults(
        duplicates=tuple(Duplicate(path, "train", path, "validation", 1, False) for path in paths[:10_000]),
        suspects=tuple(Suspect(path, "train", 0, 1, 0.9) for path in paths[:10_000]),
        small_classes=dict.fromkeys(classes, 3),
        unreadable=dict.fromkeys(paths, "The image is damaged or incomplete."),
        empty_classes=classes,
        ignored=tuple(paths),
        repeated=tuple(paths),
    )
    images = LabelledImages(tmp_path, paths, right.astype(np.int32))
    outcome = replace(
        an_outcome(tmp_path, history=epochs(3000)),
        data=Dataset("photos", classes, images, images),
        validation=answers,
        faults=faults,
        preprocessing=PREPROCESSING,
    )
    assert len(report(outcome)) < 6_000_000
