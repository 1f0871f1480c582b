"""Labels as people give them: lists from files, and mappings in any order, become names in the order of the outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from keras_archs.images.labels import Label, ordered_labels

CAT_AND_DOG = (Label("cat"), Label("dog"))


@pytest.mark.parametrize(
    "labels",
    [
        ["cat", "dog"],
        ["cat\r", "dog\r\n"],  # lines of a file from Windows
        ["\ufeffcat", "dog "],  # the first line of a file with a byte order mark
        ["\ufeff cat\t", Label("dog\n")],
        np.array(["cat", "dog"]),
        iter(["cat", "dog"]),
        {"dog": 1, "cat": 0},  # Keras' class_indices, in any order
        {1: "dog", 0: "cat"},
        {np.int64(1): "dog", np.int64(0): "cat"},
        {"cat": np.int32(0), "dog": np.int32(1)},
    ],
)
def test_names_are_cleaned_and_put_into_the_order_of_their_indices(labels: Any) -> None:
    assert ordered_labels(labels) == CAT_AND_DOG


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"cat": 1, "dog": 2}, r"must be 0 to 1, each once; got \[1, 2\]"),
        ({"cat": 0, "dog": 0}, r"must be 0 to 1, each once; got \[0, 0\]"),
        ({0: "cat", 2: "dog"}, r"must be 0 to 1, each once; got \[0, 2\]"),
        ({"0": "cat", "1": "dog"}, "each name to an index"),
        ({"cat": 0.0, "dog": 1.0}, "each name to an index"),
        ({"cat": False, "dog": True}, "each name to an index"),
        ({0: "cat", "dog": 1}, "each name to an index"),
        ({0: 1, 1: 0}, "must be a text"),
        ("ab", "list of names"),
        (b"ab", "list of names"),
        ({"cat", "dog"}, "list of names"),
        (2, "list of names"),
        ([0, 1], "must be a text"),
        (["cat", None], "must be a text"),
        (["cat", b"dog"], "must be a text"),
        (["cat", ""], "non-empty line"),
        (["cat", " \ufeff\r\n"], "non-empty line"),
        (["cat", "\u200b"], "non-empty line"),
        (["cat", "dog\nowl"], "non-empty line"),
        (["cat", "dog\u2028owl"], "non-empty line"),
        (["cat", "dog\x00"], "non-empty line"),
        (["cat", "\ud800"], "non-empty line"),
        (["cat", "dog", "cat\r"], r"given more than once: \['cat'\]"),
    ],
)
def test_labels_without_an_order_or_a_name_are_refused(labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ordered_labels(labels)


def test_names_in_any_script_are_kept() -> None:
    names = ["ネコ", "chien d'arrêt", "क\u200cष", "👩\u200d🚀", "cat, domestic"]
    assert [label.name for label in ordered_labels(names)] == names


def test_classes_with_the_same_name_but_different_wordnet_ids_differ() -> None:
    cranes = (Label("crane", "n02012849"), Label("crane", "n03126707"))
    assert ordered_labels(cranes) == cranes
