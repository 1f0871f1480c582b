"""What `keras-archs train` prints: results on standard output, notes on standard error."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import typer

from keras_archs.cli.output import write_json
from keras_archs.images.errors import ImageError
from keras_archs.images.formats import MEDIA_TYPES, inspect
from keras_archs.repository.models_config import why_not_served
from keras_archs.training.data.dataset import Dataset
from keras_archs.training.data.faults import DataFaults
from keras_archs.training.evaluation.answers import Answers
from keras_archs.training.runs.run import Finished
from keras_archs.training.runs.run_folder import RunFolder

_SHOWN = 5
_URL = "http://127.0.0.1:8000"


class Results:
    """Prints the results of a run."""

    def __init__(self, folder: RunFolder, data: Dataset, *, as_json: bool) -> None:
        """Prepare for a run."""
        self._folder = folder
        self._config = folder.config
        self._data = data
        self._as_json = as_json
        self._version_dir: Path | None = None

    def begin(self) -> None:
        """Print what is trained, and what of the data is left out."""
        data, config = self._data, self._config
        images = ", ".join(f"{count:,} {split}" for split, count in config.data.images.items())
        typer.echo(
            f"{data.source}: {images} images of {len(data.classes):,} classes; run {self._folder.path}", err=True
        )
        _note("class folders without an image, which are skipped", data.empty)
        _note("files that are no images of a class, which are skipped", data.ignored)
        if len(data.drawn) < len(data.classes):  # else the source has no validation images at all, as is usual
            _note("classes whose validation images are drawn from the training images", data.drawn)
        _note("paths that the table has several times, which count once", data.repeated)

    def published(self, version_dir: Path) -> None:
        """Print the version, and how to ask it."""
        self._version_dir = version_dir
        repository, name = version_dir.parent.parent, version_dir.parent.name
        if not self._as_json:
            typer.echo(f"{name} version {version_dir.name} published: {version_dir}")
            typer.echo(f"  serve  keras-archs serve --repository {shlex.quote(str(repository))}")
            typer.echo(f"  try    {self._request()}")
        if reason := why_not_served(repository, name, int(version_dir.name)):
            typer.echo(f"version {version_dir.name} of {name} is not served: {reason}", err=True)

    def interrupted(self) -> None:
        """Print how to go on."""
        run = shlex.quote(str(self._folder.path))
        typer.echo(f"interrupted; go on with: keras-archs train --resume {run}", err=True)
        if self._folder.best.exists() and not self._folder.state.trained:
            typer.echo(f"or publish the best weights so far with: keras-archs train --finish {run}", err=True)

    def finished(self, finished: Finished) -> None:
        """Print accuracy, faults of the data, and where everything is."""
        if self._as_json:
            write_json(self._document(finished))
        else:
            for split, answers in finished.answers.items():
                typer.echo(_accuracy(split, answers))
            typer.echo(f"run: {self._folder.path}")
            if self._folder.report.exists():
                typer.echo(f"report: {self._folder.report}")
        self._notes(finished)

    def _notes(self, finished: Finished) -> None:
        unreadable = _unreadable(finished)
        _note("images that could not be read", [f"{path}: {reason}" for path, reason in unreadable.items()])
        if faults := finished.faults:
            for text, items in _faults(faults, self._data).items():
                _note(text, items)

    def _document(self, finished: Finished) -> dict[str, Any]:
        config, version_dir = self._config, self._version_dir
        return {
            "run": str(self._folder.path),
            "method": config.method,
            "network": config.network,
            "classes": list(config.data.classes),
            "images": dict(config.data.images),
            "name": config.name if version_dir else None,
            "version": int(version_dir.name) if version_dir else None,
            "path": str(version_dir) if version_dir else None,
            "request": self._request() if version_dir else None,
            "accuracy": {split: _proportion(answers) for split, answers in finished.answers.items()},
            "stopped": self._folder.state.stopped,
            "unreadable": _unreadable(finished),
            "faults": None if finished.faults is None else _counts(finished.faults),
            "seconds": {phase: round(duration, 3) for phase, duration in finished.seconds.items()},
            "report": str(self._folder.report) if self._folder.report.exists() else None,
        }

    def _request(self) -> str:
        """Return a command that asks for a validation image."""
        path, media_type = self._example()
        data, header = shlex.quote(f"@{path}"), shlex.quote(f"Content-Type: {media_type}")
        return f"curl -s --data-binary {data} -H {header} {_URL}/classify/{self._config.name}"

    def _example(self) -> tuple[Path, str]:
        images = self._data.validation
        for path in images.paths:
            file = images.root / path
            try:
                picture = inspect(file.read_bytes())
            except (ImageError, OSError):
                continue
            return file, next(media for media, format in MEDIA_TYPES.items() if format == picture.format)
        return images.root / images.paths[0], "image/jpeg"


def _unreadable(finished: Finished) -> dict[str, str]:
    return {**finished.unreadable, **(finished.faults.unreadable if finished.faults else {})}


def _accuracy(split: str, answers: Answers) -> str:
    low, high = answers.top1.interval
    return (
        f"{split} accuracy: {100 * answers.top1.value:.1f} % ({answers.top1.count:,} of {answers.top1.total:,} images; "
        f"95 % interval {100 * low:.1f} to {100 * high:.1f} %)"
    )


def _proportion(answers: Answers) -> dict[str, float]:
    low, high = answers.top1.interval
    return {
        "value": answers.top1.value,
        "right": answers.top1.count,
        "images": answers.top1.total,
        "low": low,
        "high": high,
    }


def _faults(faults: DataFaults, data: Dataset) -> Mapping[str, Collection[str]]:
    return {
        "pairs that look alike, across the division or of two classes": [
            f"{pair.first} and {pair.second}" for pair in faults.duplicates
        ],
        "possible label errors": [
            f"{suspect.path}: {data.classes[suspect.given]}, looks like {data.classes[suspect.suggested]}"
            for suspect in faults.suspects
        ],
        "classes with few training images": [f"{name}: {count:,}" for name, count in faults.small_classes.items()],
    }


def _counts(faults: DataFaults) -> dict[str, int]:
    return {
        "duplicates": len(faults.duplicates),
        "label_errors": len(faults.suspects),
        "small_classes": len(faults.small_classes),
        "empty_classes": len(faults.empty_classes),
        "ignored_files": len(faults.ignored),
    }


def _note(text: str, items: Collection[str]) -> None:
    """Print a number of items and the first of them, each on a line of its own; nothing if there are none."""
    if not items:
        return
    typer.echo(f"note: {text}: {len(items):,}", err=True)
    for item in list(items)[:_SHOWN]:
        typer.echo(f"  {typer.format_filename(' '.join(item.split()))}", err=True)
    if len(items) > _SHOWN:
        typer.echo(f"  and {len(items) - _SHOWN:,} more", err=True)
