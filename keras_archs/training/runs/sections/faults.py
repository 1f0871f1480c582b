"""What is wrong with the data, and what to do about it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keras_archs.training.data.dataset import SPLITS, Dataset, Split
from keras_archs.training.data.faults import Duplicate, Suspect
from keras_archs.training.evaluation.answers import UNREADABLE
from keras_archs.training.evaluation.proportion import Proportion
from keras_archs.training.pages.lists import listed
from keras_archs.training.pages.pictures import picture, read_pictures
from keras_archs.training.pages.text import counted, name, percent
from keras_archs.training.runs.outcome import LONGEST_NAME, Outcome

PAIRS: Final = 24
"""Near-duplicates with pictures; further pairs are listed by their paths."""
SUSPECTS: Final = 24
"""Possible label errors with pictures; further images are listed by their paths."""

_SIDE: Final = 144


def duplicates(outcome: Outcome) -> str:
    """Return the near-duplicates, two pictures side by side."""
    pairs = outcome.faults.duplicates
    if not pairs:
        return ""
    shown = pairs[:PAIRS]
    pictures = iter(
        read_pictures(
            [
                _file(outcome.data, split, path)
                for pair in shown
                for path, split in ((pair.first, pair.first_split), (pair.second, pair.second_split))
            ],
            outcome.preprocessing,
        )
    )
    known = _classes(outcome.data, {path for pair in shown for path in (pair.first, pair.second)})
    items = "".join(_pair(pair, (next(pictures), next(pictures)), known) for pair in shown)
    rest = [f"{pair.first} ({pair.first_split}) and {pair.second} ({pair.second_split})" for pair in pairs[PAIRS:]]
    across = sum(pair.first_split != pair.second_split for pair in pairs)
    different = sum(not pair.same_class for pair in pairs)
    advice = []
    if across:
        advice.append(
            f"{counted(across, 'pair is', 'pairs are')} in two divisions of the data: an image that was seen before it "
            "is measured with makes the accuracy look better than it is. Delete one of the two. "
            + _accuracy_without(outcome)
        )
    if different:
        advice.append(
            f"{counted(different, 'pair has', 'pairs have')} two classes: one of the two is likely labelled wrongly. "
            "Delete it, or move it to its class."
        )
    return f'<p>{" ".join(advice)}</p>\n<ul class="pairs">\n{items}</ul>\n{listed("Further pairs:", rest)}'


def _pair(pair: Duplicate, pixels: Sequence[NDArray[np.uint8] | None], known: dict[tuple[Split, str], str]) -> str:
    sides = "".join(
        f"<div>{picture(each, side=_SIDE)}<p><strong>{name(known.get((split, path), ''), LONGEST_NAME)}</strong> "
        f'<span class="badge">{split}</span><br><span class="path faint">{name(path, LONGEST_NAME)}</span></p></div>'
        for each, path, split in (
            (pixels[0], pair.first, pair.first_split),
            (pixels[1], pair.second, pair.second_split),
        )
    )
    hashes = (
        "perceptual hashes differ in " + counted(pair.distance, "bit") + " of 64"
        if pair.distance
        else "equal perceptual hashes"
    )
    look = f"mirror images, {hashes}" if pair.mirrored else hashes
    classes = "" if pair.same_class else ', <strong class="wrong">classes differ</strong>'
    return f'<li><div class="pair">{sides}</div><p class="faint">{look}{classes}</p></li>\n'


def _accuracy_without(outcome: Outcome) -> str:
    """Return a sentence with the accuracy on the measured images that have no twin in another division."""
    split: Split = outcome.measured_split
    twins = set()
    for pair in outcome.faults.duplicates:
        if pair.first_split != pair.second_split:
            if pair.first_split == split:
                twins.add(pair.first)
            if pair.second_split == split:
                twins.add(pair.second)
    answers = outcome.measured
    left = [
        rank
        for path, rank in zip(answers.images.paths, answers.rank.tolist(), strict=True)
        if rank != UNREADABLE and path not in twins
    ]
    if not twins or not left:
        return ""
    without = Proportion(sum(rank == 0 for rank in left), len(left))
    return (
        f"Without {counted(len(twins), f'such {split} image')}, the accuracy is {percent(without.value)} "
        f"instead of {percent(answers.top1.value)}."
    )


def suspects(outcome: Outcome) -> str:
    """Return the possible label errors as pictures."""
    found = outcome.faults.suspects
    if not found:
        return ""
    shown = found[:SUSPECTS]
    pictures = read_pictures([_file(outcome.data, each.split, each.path) for each in shown], outcome.preprocessing)
    items = "".join(_suspect(each, pixels, outcome.data) for each, pixels in zip(shown, pictures, strict=True))
    names = outcome.data.classes
    rest = [f"{each.path} ({each.split}): {names[each.given]} → {names[each.suggested]}" for each in found[SUSPECTS:]]
    return f"""<p>Images that resemble another class than their own. Look at each: if its label is wrong, move it to its
class; if it is right, keep it, for the network learns most from such images.</p>
<ul class="pictures">
{items}</ul>
{listed("Further images:", rest)}"""


def _suspect(suspect: Suspect, pixels: NDArray[np.uint8] | None, data: Dataset) -> str:
    given, suggested = (name(data.classes[index], LONGEST_NAME) for index in (suspect.given, suspect.suggested))
    return f"""<li>
{picture(pixels)}
<p>{given} → <strong>{suggested}</strong>?<br>
{100 * suspect.share:.0f}&nbsp;% of neighbours <span class="badge">{suspect.split}</span><br>
<span class="path faint">{name(suspect.path, LONGEST_NAME)}</span></p>
</li>
"""


def small_classes(outcome: Outcome) -> str:
    """Return the classes with few training images."""
    small = outcome.faults.small_classes
    items = [f"{label}: {counted(count, 'training image')}" for label, count in small.items()]
    return listed(
        "So few images say little about a class: add images, 50 or more if there are, or merge classes that need "
        "not be told apart.",
        items,
    )


def unreadable(outcome: Outcome) -> str:
    """Return the files that could not be read."""
    return listed(
        "They were skipped, and count neither as right nor as wrong. Replace or delete them.",
        [f"{path}: {reason}" for path, reason in outcome.faults.unreadable.items()],
    )


def empty_classes(outcome: Outcome) -> str:
    """Return the class folders without an image."""
    return listed(
        "The network does not know these classes. Add images, or delete the folders.", outcome.faults.empty_classes
    )


def ignored(outcome: Outcome) -> str:
    """Return the files that are no images of a class."""
    return listed(
        "They are in no class folder, or have no suffix of an image. Move or rename files that are images of a class.",
        outcome.faults.ignored,
    )


def repeated(outcome: Outcome) -> str:
    """Return the paths that the table has several times."""
    return listed("They count once. Delete the further lines of the table.", outcome.faults.repeated)


def _file(data: Dataset, split: Split, path: str) -> Path:
    images = data.split(split)
    return (data.train if images is None else images).root / path


def _classes(data: Dataset, wanted: Collection[str]) -> dict[tuple[Split, str], str]:
    """Return the names of the classes of images by division and path."""
    return {
        (split, path): data.classes[index]
        for split in SPLITS
        if (images := data.split(split)) is not None
        for path, index in zip(images.paths, images.classes.tolist(), strict=True)
        if path in wanted
    }
