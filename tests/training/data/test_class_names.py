"""Names of folders and labels of tables stand for a class, whichever way people spell it, or are refused."""

from __future__ import annotations

import unicodedata

import pytest

from keras_archs.images.labels import Label, imagenet_labels
from keras_archs.training.data.class_names import ClassNameError, ClassNames, Naming

NUMBERS = tuple(Label(name) for name in ("0", "1", "10", "2"))  # digits in alphabetical order, as folders are sorted


def found(name: str, naming: Naming | None = None, labels: tuple[Label, ...] = imagenet_labels()) -> int:
    (index,) = ClassNames(labels, naming).find([name], "class folders")
    return index


@pytest.mark.parametrize("name", ["n01484850", "2", "002", "great white shark", "Great_White-shark"])
def test_a_class_is_named_by_wordnet_id_index_or_label(name: str) -> None:
    assert found(name) == 2


def test_a_label_as_it_is_written_wins_over_one_in_other_letters() -> None:
    assert imagenet_labels()[found("Cardigan")].wordnet_id == "n02113186"  # a dog
    assert imagenet_labels()[found("cardigan")].wordnet_id == "n02963159"  # a jacket


def test_a_name_is_the_same_however_a_file_system_writes_its_accents() -> None:
    labels = (Label("café"), Label("ネコ"), Label("👍"))
    for index, label in enumerate(labels):
        assert found(unicodedata.normalize("NFD", label.name), labels=labels) == index


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("crane", r"'crane' \(134: crane \(bird\) and 517: crane \(machine\)\)"),
        ("CARDIGAN", r"264: Cardigan and 474: cardigan"),
    ],
)
def test_a_name_of_two_classes_is_refused(name: str, message: str) -> None:
    with pytest.raises(ClassNameError, match=rf"^1 of 1 class folders name more than one class: .*{message}"):
        found(name)
    assert found("crane_bird") == found("n02012849") == 134


@pytest.mark.parametrize("name", ["1000", "n09999999", "-1", "1.0", "great white", "👍", "", "٣", "9" * 5000])
def test_a_name_of_no_class_is_refused(name: str) -> None:
    with pytest.raises(ClassNameError, match=r"label \('tench'\) or its index \(0 to 999\) or its WordNet id \(n014"):
        found(name)


def test_a_refusal_names_at_most_five_names_and_suggests_labels() -> None:
    with pytest.raises(ClassNameError, match=r"7 of 8 .*'expresso' \(is it 'espresso'\?\), .* and 2 more; ") as refusal:
        ClassNames(imagenet_labels()).find(["expresso", "cup", *"uvwxyz"], "class folders")
    assert "'y'" not in str(refusal.value)


def test_numbers_that_are_labels_and_indices_of_different_classes_are_refused_unless_the_caller_says_which() -> None:
    assert found("0", labels=NUMBERS) == 0
    with pytest.raises(ClassNameError, match=r"'2' \(2: 10 and 3: 2\); use names .*, or say whether"):
        found("2", labels=NUMBERS)
    assert (found("2", "label", NUMBERS), found("2", "index", NUMBERS)) == (3, 2)
    assert found("10", labels=NUMBERS) == 2  # no class has the index 10
    with pytest.raises(ClassNameError, match=r"its index \(0 to 3\)$"):
        found("10", "index", NUMBERS)
    with pytest.raises(ClassNameError, match="its WordNet id, which no class has"):
        found("2", "wordnet", NUMBERS)
