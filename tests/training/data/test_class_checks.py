"""Names that cannot be labels, and names that people or file systems confuse, are refused."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_archs.images.labels import ordered_labels
from keras_archs.training.data.class_checks import MAX_LENGTH, check_counts, check_known, check_names, class_name


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("red/rose", "'red/rose' contains a slash"),
        ("red\\rose", r"'red\\\\rose' contains a slash"),
        ("red\nrose", r"'red\\nrose' contains a line break or a control character"),
        ("rose\n", r"'rose\\n' contains a line break or a control character"),
        ("red\trose", "contains a line break or a control character"),
        ("red\x00rose", "contains a line break or a control character"),
        ("red\u2028rose", "contains a line break or a control character"),
        ("rose\udcff", "contains bytes that are no text in UTF-8"),
        ("x" * 101, r"'x{57}\.\.\.' is longer than 100 characters"),
        ("\u200b", "has no visible character"),
        ("\ufeffrose", "contains a byte order mark"),
    ],
)
def test_a_name_that_cannot_be_a_label_is_refused(name: str, problem: str) -> None:
    with pytest.raises(ValueError, match=rf"^1 of 2 class folders cannot be names of classes: .*{problem}; rename"):
        check_names(["tulip", name], "class folders")


def test_a_refusal_names_a_few_names_and_counts_the_rest() -> None:
    with pytest.raises(ValueError, match=r"^7 of 8 labels .*'e/' contains a slash and 2 more; rename them$"):
        check_names([f"{letter}/" for letter in "abcdefg"] + ["tulip"], "labels")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Rose", "rose"),
        ("STRASSE", "straße"),
        ("tea rose", "tea  rose"),
        ("tea rose", "tea_rose"),
        ("tea rose", "tea\u00a0rose"),
        ("rose", "rose "),
        ("rose", "ro\u200bse"),
        ("caf\u00e9", "cafe\u0301"),
        ("\ufb01g", "fig"),
    ],
)
def test_two_names_that_are_easily_confused_are_refused(first: str, second: str) -> None:
    with pytest.raises(ValueError, match=r"^class folders that differ only in ") as refusal:
        check_names([first, "tulip", second], "class folders")
    assert f"{first!a} and {second!a}" in str(refusal.value)


@pytest.mark.parametrize(
    "names", [["c", "c++"], ["0", "10"], ["👍", "👎"], ["ネコ", "いぬ"], ["x" * 100, "x" * 99], ["a-b", "ab"]]
)
def test_names_that_differ_are_accepted(names: list[str]) -> None:
    check_names(names, "class folders")


NAMES = st.lists(st.text(max_size=MAX_LENGTH + 5), min_size=1, max_size=4, unique=True)


@given(NAMES)
def test_an_accepted_name_is_a_label_and_stays_as_it_is(names: list[str]) -> None:
    try:
        check_names(names, "class folders")
    except ValueError as refusal:
        assert str(refusal).isprintable()
        return
    classes = [class_name(name) for name in names]
    assert [label.name for label in ordered_labels(classes)] == classes
    assert len({unicodedata.normalize("NFC", name).casefold() for name in classes}) == len(names)
    assert all(name and "/" not in name and len(name) <= MAX_LENGTH for name in classes)


@given(st.text(max_size=20))
def test_the_name_of_a_class_is_the_same_on_every_file_system(name: str) -> None:
    assert class_name(class_name(name)) == class_name(name) == class_name(unicodedata.normalize("NFD", name))


def test_a_class_without_a_training_image_is_refused_with_a_hint_at_one_of_like_name() -> None:
    with pytest.raises(ValueError, match=r"^val/ has .* without a training image: 'Rose' \(is it 'rose'\?\), 'x'$"):
        check_known(["tulip", "Rose", "x"], ["rose", "tulip"], "val/")


def test_one_class_is_no_classification() -> None:
    with pytest.raises(ValueError, match=r"at least two classes with images; got 'rose'; look inside$"):
        check_counts({"rose": 5}, ["rose"], "; look inside")


def test_an_image_cannot_be_trained_and_validated_with() -> None:
    with pytest.raises(ValueError, match=r"at least 2 images, .*; 1 of 3 classes have 1: 'rose'$"):
        check_counts({"rose": 1, "tulip": 2, "daisy": 1}, ["rose", "tulip"])
