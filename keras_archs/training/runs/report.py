"""A training as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from importlib import resources

from keras_archs.training.pages.frame import Section, page
from keras_archs.training.runs.outcome import Outcome
from keras_archs.training.runs.sections import faults
from keras_archs.training.runs.sections.calibration import calibration
from keras_archs.training.runs.sections.classes import classes
from keras_archs.training.runs.sections.confusions import confusions
from keras_archs.training.runs.sections.curves import curves
from keras_archs.training.runs.sections.overview import facts, overview
from keras_archs.training.runs.sections.photographs import least_certain, worst_errors
from keras_archs.training.runs.sections.settings import settings


def report(outcome: Outcome) -> str:
    """Return the page of a training: accuracy, learning curves, errors with pictures, and the data's own faults.

    The page stays below some megabytes and takes seconds, however many images and classes there are: long lists are cut
    and say so.

    Args:
        outcome: The outcome of the training; the files of its images are read once more for the pictures.
    """
    style = resources.files("keras_archs.training.runs").joinpath("report.css").read_text(encoding="utf-8")
    return page(
        f"Training {outcome.name}", _sections(outcome), header=facts(outcome), summary=overview(outcome), style=style
    )


def _sections(outcome: Outcome) -> Iterator[Section]:
    found = outcome.faults
    yield Section("Learning curves", curves(outcome))
    yield Section("Confusions", confusions(outcome))
    yield Section("Classes", classes(outcome))
    yield Section("Reliability", calibration(outcome))
    yield Section("Worst errors", worst_errors(outcome))
    yield Section("Least certain", least_certain(outcome))
    yield Section(_numbered("Near-duplicates", found.duplicates), faults.duplicates(outcome))
    yield Section(_numbered("Possible label errors", found.suspects), faults.suspects(outcome))
    yield Section(_numbered("Classes with few images", found.small_classes), faults.small_classes(outcome))
    yield Section(_numbered("Unreadable images", found.unreadable), faults.unreadable(outcome))
    yield Section(_numbered("Empty class folders", found.empty_classes), faults.empty_classes(outcome))
    yield Section(_numbered("Ignored files", found.ignored), faults.ignored(outcome))
    yield Section(_numbered("Repeated lines", found.repeated), faults.repeated(outcome))
    yield Section("Settings", settings(outcome))


def _numbered(heading: str, items: Collection[object]) -> str:
    return f"{heading} ({len(items):,})"
