"""Rules for the classes of a data set: names that can be labels, folders and parts of a page, and enough images."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from keras_archs.training.data.listing import listed, shown

MAX_LENGTH: Final = 100
"""Largest number of characters in the name of a class."""

_BYTE_ORDER_MARK: Final = "\ufeff"


class _Rule(NamedTuple):
    holds: Callable[[str], bool]
    broken: str
    """Says what is wrong with a name."""


def _has_only(name: str, categories: Collection[str]) -> bool:
    return all(unicodedata.category(character) in categories for character in name)


def _has(name: str, categories: Collection[str]) -> bool:
    return any(unicodedata.category(character) in categories for character in name)


_RULES: Final = (
    _Rule(lambda name: not _has(name, {"Cs"}), "contains bytes that are no text in UTF-8"),
    _Rule(lambda name: not _has(name, {"Cc", "Zl", "Zp"}), "contains a line break or a control character"),
    _Rule(lambda name: _BYTE_ORDER_MARK not in name, "contains a byte order mark"),
    _Rule(lambda name: not _has_only(name, {"Cf", "Cn", "Co", "Zs"}), "has no visible character"),
    _Rule(lambda name: not {"/", "\\"} & set(name), "contains a slash"),
    _Rule(lambda name: len(name) <= MAX_LENGTH, f"is longer than {MAX_LENGTH} characters"),
)


def class_name(spelling: str) -> str:
    """Return the name of a class: without white space around it, and with accents as one character (Unicode NFC).

    File systems write accents in different ways; the name of a class is the same on all of them.
    """
    return unicodedata.normalize("NFC", spelling).strip()


def check_names(spellings: Sequence[str], what: str) -> None:
    """Refuse names that no class may have, and names that people, file systems or addresses confuse.

    Args:
        spellings: Names of all classes, as folders or a table spell them; each once.
        what: What has the names, in the plural, for messages: "class folders".

    Raises:
        ValueError: A name breaks a rule, or two names differ in nothing but upper and lower case, spaces, underscores
            or the Unicode form.
    """
    broken = {
        spelling: next(rule.broken for rule in _RULES if not rule.holds(spelling))
        for spelling in spellings
        if not all(rule.holds(spelling) for rule in _RULES)
    }
    if broken:
        raise ValueError(
            f"{len(broken)} of {len(spellings)} {what} cannot be names of classes: "
            f"{listed(broken, lambda name: f'{shown(name)} {broken[name]}')}; rename them"
        )
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for spelling in spellings:
        alike[_folded(spelling)].append(spelling)
    twins = [names for names in alike.values() if len(names) > 1]
    if twins:
        raise ValueError(
            f"{what} that differ only in upper and lower case, spaces, underscores or the form of characters: "
            f"{listed(twins, lambda names: ' and '.join(map(ascii, names)))}; "
            "if they are one class, give them one name, else names that nobody confuses"
        )


def check_known(names: Iterable[str], classes: Collection[str], where: str) -> None:
    """Refuse classes of validation or test images that no training image has.

    Args:
        names: Classes of these images.
        classes: Classes of the training images.
        where: Where the images are, for messages: "val/".

    Raises:
        ValueError: A class is unknown.
    """
    unknown = [name for name in names if name not in classes]
    if unknown:
        spelled = {_folded(name): name for name in classes}

        def with_hint(name: str) -> str:
            twin = spelled.get(_folded(name))
            return shown(name) if twin is None else f"{shown(name)} (is it {shown(twin)}?)"

        raise ValueError(f"{where} has classes without a training image: {listed(unknown, with_hint)}")


def check_counts(counts: Mapping[str, int], drawn: Collection[str], hint: str = "") -> None:
    """Refuse data that no classifier can be trained with.

    Args:
        counts: Number of training images of each class, before validation images are drawn from them.
        drawn: Classes whose validation images are drawn from the training images.
        hint: Added to the message that there is one class only.

    Raises:
        ValueError: There are fewer than two classes, or a class has no image to train with and another to validate.
    """
    if len(counts) < 2:
        raise ValueError(f"a classifier needs at least two classes with images; got {listed(counts, shown)}{hint}")
    alone = [name for name in drawn if counts[name] < 2]
    if alone:
        raise ValueError(
            f"a class needs at least 2 images, one to train with and one to validate with; {len(alone)} of "
            f"{len(counts)} classes have 1: {listed(alone, shown)}"
        )


def _folded(spelling: str) -> str:
    """Return what is left of a name when case, spaces, underscores, invisible characters and forms do not count."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", spelling).casefold())
    visible = "".join(character for character in text if unicodedata.category(character) != "Cf")
    return re.sub(r"[\s_]+", " ", visible).strip()
