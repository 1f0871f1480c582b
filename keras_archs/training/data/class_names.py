"""Which class of a network a name stands for: a WordNet id, an index, or a label as people spell it in folder names."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from keras_archs.images.labels import Label
from keras_archs.training.data.listing import listed

Naming = Literal["label", "index", "wordnet"]
"""What a name is: a label, the index of an output, or a WordNet id."""

_INDEX: Final = re.compile(r"[0-9]{1,9}")
_ADDED_WORDS: Final = re.compile(r"\s*\([^()]*\)$")


class ClassNameError(ValueError):
    """A name stands for no class, or for several."""


class ClassNames:
    """The classes of a network by their names."""

    def __init__(self, labels: Sequence[Label], naming: Naming | None = None) -> None:
        """Collect the names.

        Args:
            labels: Labels of all classes, in the order of the outputs.
            naming: What the names are; None to accept each of the three.
        """
        self._labels = labels
        self._naming = naming
        self._by_wordnet_id: defaultdict[str, set[int]] = defaultdict(set)
        self._by_label: defaultdict[str, set[int]] = defaultdict(set)
        self._by_spelling: defaultdict[str, set[int]] = defaultdict(set)
        self._by_lemma: defaultdict[str, set[int]] = defaultdict(set)
        for index, label in enumerate(labels):
            if label.wordnet_id:
                self._by_wordnet_id[label.wordnet_id].add(index)
            self._by_label[unicodedata.normalize("NFC", label.name)].add(index)
            for spellings, name in (
                (self._by_spelling, label.name),
                (self._by_lemma, _ADDED_WORDS.sub("", label.name)),
            ):
                if spelling := _spelling(name):  # none for a name of symbols only
                    spellings[spelling].add(index)

    def find(self, names: Sequence[str], what: str) -> list[int]:
        """Return the class of each name.

        A label matches as it is written; if no label does, upper and lower case, and spaces, underscores and other
        punctuation, are the same, and words in parentheses at the end of a label may be missing.

        Args:
            names: Names to look up.
            what: What has the names, in the plural, for messages: "class folders".

        Raises:
            ClassNameError: A name stands for no class, or for several.
        """
        found = [self._candidates(name) for name in names]
        several = {name: classes for name, classes in zip(names, found, strict=True) if len(classes) > 1}
        if several:
            raise ClassNameError(
                f"{len(several)} of {len(names)} {what} name more than one class: "
                f"{listed(several, lambda name: f'{name!r} ({self._described(several[name])})')}; "
                "use names that tell the classes apart, or say whether the names are labels, indices or WordNet ids"
            )
        unknown = [name for name, classes in zip(names, found, strict=True) if not classes]
        if unknown:
            raise ClassNameError(
                f"{len(unknown)} of {len(names)} {what} name no class of the network: "
                f"{listed(unknown, self._with_hint)}; a class is named by {self._allowed()}"
            )
        return [classes.pop() for classes in found]

    def _candidates(self, name: str) -> set[int]:
        candidates: set[int] = set()
        if self._naming in {None, "wordnet"}:
            candidates |= self._by_wordnet_id.get(name, set())
        if self._naming in {None, "index"} and _INDEX.fullmatch(name) and int(name) < len(self._labels):
            candidates.add(int(name))
        if self._naming in {None, "label"}:
            candidates |= self._labelled(unicodedata.normalize("NFC", name))
        return candidates

    def _labelled(self, name: str) -> set[int]:
        if name in self._by_label:
            return self._by_label[name]
        spelling = _spelling(name)
        return self._by_spelling.get(spelling) or self._by_lemma.get(spelling) or set()

    def _described(self, classes: Iterable[int]) -> str:
        return " and ".join(f"{index}: {self._labels[index].name}" for index in sorted(classes))

    def _with_hint(self, name: str) -> str:
        close = difflib.get_close_matches(name, self._by_label, n=1)
        return f"{name!r} (is it {close[0]!r}?)" if close else repr(name)

    def _allowed(self) -> str:
        wordnet_id = next(iter(self._by_wordnet_id), None)
        examples: dict[Naming, str] = {
            "label": f"its label ({self._labels[0].name!r})",
            "index": f"its index (0 to {len(self._labels) - 1})",
            "wordnet": f"its WordNet id ({wordnet_id})" if wordnet_id else "its WordNet id, which no class has",
        }
        if self._naming is not None:
            return examples[self._naming]
        return " or ".join(text for naming, text in examples.items() if naming != "wordnet" or wordnet_id)


def _spelling(name: str) -> str:
    """Return the words of a name, in lower case."""
    return re.sub(r"[\W_]+", " ", unicodedata.normalize("NFKC", name)).strip().casefold()
