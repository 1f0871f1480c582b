"""`keras-archs evaluate`: accuracy of a network on images with known classes."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Annotated, NamedTuple

import typer

from keras_archs.cli.output import JsonOption, working, write_json, write_table
from keras_archs.cli.prepared import export_to
from keras_archs.cli.progress import progress
from keras_archs.cli.quiet import quiet_tensorflow
from keras_archs.repository import models_config
from keras_archs.repository.artifact import CONVERSION_CACHE, check_repository, find_version, read_card
from keras_archs.repository.artifact_card import ArtifactCard
from keras_archs.runtimes.local import installed_runtime, load_version
from keras_archs.runtimes.machine import usable_cores
from keras_archs.training.data.class_names import Naming
from keras_archs.training.data.image_folder import label_images, read_images
from keras_archs.training.data.labelled_images import LabelledImages
from keras_archs.training.evaluation.answer_table import write_answers
from keras_archs.training.evaluation.answers import Answers
from keras_archs.training.evaluation.evaluating import evaluate as run
from keras_archs.training.evaluation.published import published_accuracy
from keras_archs.training.evaluation.report import html_report
from keras_archs.training.evaluation.summary import Evaluation, Subject

_SHOWN = 10


class _Network(NamedTuple):
    """A published version, and what is known of it besides its card."""

    version_dir: Path
    card: ArtifactCard
    subject: Subject
    cache_dir: Path | None


def evaluate(
    network: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="Name of the network, as 'keras-archs list' prints it or as published in --repository."
        ),
    ],
    images: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER|CSV",
            help="A folder with a folder of images per class, or a .csv file with the columns path and label.",
        ),
    ],
    weights: Annotated[
        str | None,
        typer.Option(metavar="TAG|PATH", show_default="the network's own", help="Weights: a tag, or a file."),
    ] = None,
    repository: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Evaluate a version that is published in this folder.")
    ] = None,
    version: Annotated[
        str | None,
        typer.Option(metavar="N|LABEL", help="Version in --repository, or its label; the newest by default."),
    ] = None,
    names: Annotated[
        Naming | None,
        typer.Option(help="What the names of folders, or the labels of the table, are; by default any of them."),
    ] = None,
    allow_untrained: Annotated[
        bool, typer.Option("--allow-untrained", help="Evaluate also without trained weights.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with pictures of the worst mistakes: .html.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a line per image: .csv.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with status 1 if an image could not be read.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure top-1 and top-5 accuracy on images with known classes, with 95 % confidence intervals.

    The network runs on OpenVINO, or on TensorFlow if OpenVINO is not installed, with the preprocessing of its weights.
    Images that cannot be read are listed, and count neither as right nor as wrong. Ctrl-C ends the evaluation, and
    writes nothing.
    """
    _check_output(report, "report", ".html")
    _check_output(csv, "csv", ".csv")
    named = read_images(images)
    with _network(network, weights, repository, version, allow_untrained=allow_untrained) as found:
        labelled = label_images(named, found.card.labels, names)
        answers = _answers(found, labelled)
    evaluation = Evaluation(found.subject, str(images), named, answers)
    # first, so that the numbers are not lost if a file cannot be written
    if as_json:
        write_json(evaluation.to_json())
    else:
        _write_text(evaluation)
    if csv:
        write_answers(answers, csv)
    if report:
        report.write_text(html_report(evaluation, found.card.preprocessing), encoding="utf-8")
    if strict and answers.unreadable:
        raise typer.Exit(1)


def _check_output(path: Path | None, option: str, suffix: str) -> None:
    if path is None:
        return
    if path.suffix.lower() != suffix:
        raise ValueError(f"the file of --{option} must end in {suffix}; got {path}")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ValueError(f"the folder of --{option} does not exist or cannot be written: {path.parent}")


@contextmanager
def _network(
    name: str, weights: str | None, repository: Path | None, version: str | None, *, allow_untrained: bool
) -> Iterator[_Network]:
    if repository is None:
        if version is not None:
            raise ValueError("--version is the version of a published network: give --repository DIR as well")
        with tempfile.TemporaryDirectory(prefix="keras-archs-evaluate-") as temporary:
            yield _exported(name, weights, Path(temporary), allow_untrained=allow_untrained)
        return
    if weights is not None:
        raise ValueError("--weights does not go with --repository: a published version has weights of its own")
    yield _published(repository, name, version, allow_untrained=allow_untrained)


def _exported(name: str, weights: str | None, folder: Path, *, allow_untrained: bool) -> _Network:
    """Publish a network of the registry in a folder."""
    version_dir = export_to(folder, name, weights, allow_untrained=allow_untrained)
    card = read_card(version_dir)
    return _Network(version_dir, card, Subject(name, None, card.weights.source, published_accuracy(card)), None)


def _published(repository: Path, name: str, version: str | None, *, allow_untrained: bool) -> _Network:
    version_dir = find_version(repository, name, _version(repository, name, version))
    card = read_card(version_dir)
    if not card.weights.trained and not allow_untrained:
        raise ValueError(f"{name} version {version_dir.name} has untrained weights: give --allow-untrained")
    subject = Subject(name, int(version_dir.name), card.weights.source, published_accuracy(card))
    return _Network(version_dir, card, subject, repository / CONVERSION_CACHE)


def _version(repository: Path, name: str, version: str | None) -> int | None:
    """Return the number of a version that is given by its number or by its label."""
    if version is None or (version.isascii() and version.isdecimal()):
        return None if version is None else int(version)
    config = models_config.read(check_repository(repository))
    entry = models_config.entries(config).get(name) if config else None
    labels = dict(entry.version_labels) if entry else {}
    if version not in labels:
        known = ", ".join(sorted(labels)) or "none"
        raise ValueError(f"{name} has no version label {version!r} in {repository}; labels: {known}")
    return int(labels[version])


def _answers(network: _Network, images: LabelledImages) -> Answers:
    with working(f"Loading {network.subject}"):
        with quiet_tensorflow():
            runtime = installed_runtime(cache_dir=network.cache_dir, streams=usable_cores())
        session = load_version(runtime, network.version_dir, network.card)
    done = 0
    try:
        with progress(f"Evaluating {network.subject}", len(images.paths)) as show:

            def on_progress(count: int) -> None:
                nonlocal done
                done = count
                show(count)

            return run(session, network.card, images, on_progress=on_progress)
    except KeyboardInterrupt:
        typer.echo(f"interrupted after {done:,} of {len(images.paths):,} images; nothing was written", err=True)
        raise


def _write_text(evaluation: Evaluation) -> None:
    answers = evaluation.answers
    typer.echo(f"{evaluation.subject}, weights: {evaluation.subject.weights}")
    typer.echo(
        f"{answers.top1.total:,} images of {len(answers.classes):,} of {len(answers.labels):,} classes, "
        f"{evaluation.images_per_second:,.0f} images/s\n"
    )
    _write_measures(evaluation)
    _write_classes(answers)
    _write_confusions(answers)
    _write_notes(evaluation)


def _write_measures(evaluation: Evaluation) -> None:
    published = evaluation.subject.published
    rows = []
    for measure in evaluation.measures:
        low, high = measure.measured.interval
        row = [measure.name, _percent(measure.measured.value), f"{100 * low:.1f} to {100 * high:.1f} %"]
        if published:
            row.append("" if measure.published is None else f"{measure.published:.4g} %")
            row.append(f"{measure.place} the interval" if measure.place else "")
        rows.append(row)
    headings = ["", "measured", "95 % interval", *(["published", "published is"] if published else [])]
    write_table(headings, rows, right=["measured", "published"])
    if published:
        typer.echo(f"published by: {published.source}")


def _write_classes(answers: Answers) -> None:
    """Print the classes of lowest accuracy."""
    results = sorted(answers.classes, key=lambda result: result.top1.value)[:_SHOWN]
    typer.echo(f"\n{len(results)} classes of lowest accuracy" if len(answers.classes) > _SHOWN else "\nclasses")
    write_table(
        ["class", "images", "top-1", *(["top-5"] if answers.has_top5 else []), "most often mistaken for"],
        [
            [
                _name(answers, result.index),
                f"{result.top1.total:,}",
                _percent(result.top1.value),
                *([_percent(result.top5.value)] if answers.has_top5 else []),
                "" if result.mistaken_for is None else f"{_name(answers, result.mistaken_for)} ({result.mistakes:,})",
            ]
            for result in results
        ],
        right=["images", "top-1", "top-5"],
    )


def _write_confusions(answers: Answers) -> None:
    """Print the most frequent wrong answers."""
    if not answers.confusions:
        return
    shown = answers.confusions[:_SHOWN]
    typer.echo(
        f"\n{len(shown)} most frequent of {len(answers.confusions):,} confusions"
        if len(answers.confusions) > _SHOWN
        else "\nconfusions"
    )
    write_table(
        ["class", "answer", "images"],
        [[_name(answers, right), _name(answers, predicted), f"{count:,}"] for right, predicted, count in shown],
        right=["images"],
    )


def _write_notes(evaluation: Evaluation) -> None:
    """Print what was left out, on standard error."""
    answers, named = evaluation.answers, evaluation.named
    if evaluation.subject.published and not evaluation.shows_all_classes:
        _note("the images do not show all classes of the network, so the published accuracy may differ")
    if answers.unreadable:
        _note(f"images that could not be read, and count neither as right nor as wrong: {len(answers.unreadable):,}")
        for position, reason in list(answers.unreadable.items())[:_SHOWN]:
            typer.echo(f"  {typer.format_filename(answers.images.paths[position])}: {reason}", err=True)
        if len(answers.unreadable) > _SHOWN:
            typer.echo(f"  and {len(answers.unreadable) - _SHOWN:,} more: --csv lists all", err=True)
    if named.empty:
        _note(f"class folders without an image: {len(named.empty):,} ({_listed(named.empty)})")
    if named.ignored:
        kinds = Counter(PurePath(path).suffix.lower() or "no suffix" for path in named.ignored)
        by_kind = ", ".join(f"{kind}: {count:,}" for kind, count in kinds.most_common())
        _note(f"files that are no images of a class: {len(named.ignored):,} ({by_kind}): {_listed(named.ignored)}")


def _note(text: str) -> None:
    typer.echo(f"note: {text}", err=True)


def _listed(items: Sequence[str]) -> str:
    more = f" and {len(items) - _SHOWN:,} more" if len(items) > _SHOWN else ""
    return ", ".join(map(typer.format_filename, items[:_SHOWN])) + more


def _name(answers: Answers, index: int) -> str:
    return answers.labels[index].name


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
