"""`keras-archs predict`: what a model answers for many images, as a table."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keras_archs.batch.sources import Source, open_source
from keras_archs.batch.sources.source import DEFAULT_SHARD_IMAGES
from keras_archs.cli.model_option import ModelOption
from keras_archs.cli.output import JsonOption, working, write_json
from keras_archs.cli.predict_pace import shown_pace
from keras_archs.cli.prepared import cached_version, models_cache
from keras_archs.cli.quiet import quiet_ray, quiet_tensorflow
from keras_archs.repository.artifact import CONVERSION_CACHE, find_version, read_card
from keras_archs.runtimes.machine import usable_cores
from keras_archs.runtimes.runtime import Precision

if TYPE_CHECKING:
    from keras_archs.batch.run import Run
    from keras_archs.batch.work import Work


def predict(
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Image files; folders, which are searched for images; lists (.txt with a path per line, .csv with the "
            "column path); .parquet files with a column of images or paths; .tar files of images. Paths or addresses "
            "such as s3://bucket/photos.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE|FOLDER", help="Table to write: .parquet, .csv or .jsonl, or a folder of Parquet files."
        ),
    ],
    model: ModelOption = "efficientnet-lite0",
    weights: Annotated[
        str | None,
        typer.Option(metavar="TAG|PATH", show_default="the model's own", help="Weights: a tag or a file."),
    ] = None,
    repository: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Use a model published in this folder, with its own labels.")
    ] = None,
    version: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Version in --repository; the newest by default.")
    ] = None,
    top_k: Annotated[int, typer.Option(min=1, max=1000, help="Number of classes to write for each image.")] = 5,
    embeddings: Annotated[
        bool, typer.Option("--embeddings", help="Also write the input of the last dense layer, not as .csv.")
    ] = False,
    precision: Annotated[
        Precision,
        typer.Option(help="Arithmetic of OpenVINO: f32, bf16, or auto for bf16 where its answers stay close to f32's."),
    ] = "auto",
    image_column: Annotated[
        str, typer.Option(metavar="NAME", help="Column of .parquet files that has the images or their paths.")
    ] = "image",
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            show_default="one per core",
            help="Threads that compute; with --ray, of each actor, one by default.",
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Compute on a Ray cluster: local (started on this machine), auto (which this machine belongs to), or "
            "ray://HOST:PORT.",
        ),
    ] = None,
    shard_images: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="Images that are written together; an interruption loses little more than so many."
        ),
    ] = DEFAULT_SHARD_IMAGES,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the table, or another run that was interrupted there.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write what a model answers for many images into a table: a row per image, in the order of the source.

    An image that cannot be decoded is a row with its error. A run that was interrupted at any moment, by Ctrl-C or
    otherwise, goes on where it was when the same command is given again.
    """
    from keras_archs.batch.ray_cluster import check_address
    from keras_archs.batch.run import Run  # needs the extra `batch`
    from keras_archs.batch.work import Work

    if ray is not None:
        check_address(ray)
    if embeddings and out.suffix == ".csv":
        raise ValueError(f"a .csv file has no embeddings: give --out a .parquet or .jsonl file, or a folder; got {out}")
    images = open_source(source, shard_images=shard_images, image_column=image_column)
    version_dir, cache_dir = _version(model, weights, repository, version)
    work = Work(version_dir, cache_dir, top_k=top_k, embeddings=embeddings, precision=precision)
    with Run.open(out, work, images, overwrite=overwrite) as run:
        if ray is None:
            computed, seconds = _run_here(run, work, images, threads or usable_cores())
        else:
            computed, seconds = _run_on_ray(run, work, images, ray, threads or 1)
        with working(f"Writing {out}"):
            summary = run.finish()
    if as_json:
        write_json({"output": str(out), **asdict(summary), "computed": computed, "seconds": round(seconds, 3)})
        return
    before = f", {summary.images - computed:,} of them before" if computed < summary.images else ""
    rate = f", {computed / seconds:,.0f} images/s" if computed else ""
    typer.echo(f"{out}: {summary.images:,} images{before}{rate}")
    if summary.errors:
        typer.echo(f"note: images that could not be read: {summary.errors:,}; the column error says why", err=True)


def _version(model: str, weights: str | None, repository: Path | None, version: int | None) -> tuple[Path, Path]:
    """Return the folder of the version, and that of the versions that OpenVINO has converted."""
    if repository is None:
        if version is not None:
            raise ValueError("--version is the version of a published model: give --repository DIR as well")
        return cached_version(model, weights), models_cache() / CONVERSION_CACHE
    if weights is not None:
        raise ValueError("--weights does not go with --repository: a published version has weights of its own")
    version_dir = find_version(repository, model, version)
    if not read_card(version_dir).weights.trained:
        typer.echo(f"note: {model} version {version_dir.name} has untrained weights: its scores mean nothing", err=True)
    return version_dir, repository / CONVERSION_CACHE


def _run_here(run: Run, work: Work, images: Source, threads: int) -> tuple[int, float]:
    """Compute the shards that are missing, in this process; return the number of their images and the seconds."""
    from keras_archs.batch.predictor import Predictor
    from keras_archs.batch.shard_files import write_shards

    pending = run.pending()
    first = next(pending, None)
    if first is None:
        return 0, 0.0
    with working("Loading the model"), quiet_tensorflow():
        predictor = Predictor(work, threads=threads)
    computed = 0
    began = time.monotonic()
    try:
        with shown_pace(images) as show:

            def on_rows(count: int) -> None:
                nonlocal computed
                computed += count
                show(run.found.images + computed)

            write_shards(predictor, chain([first], pending), on_rows)
    except KeyboardInterrupt:
        typer.echo(
            f"interrupted after {run.found.images + computed:,} images; the same command goes on from there", err=True
        )
        raise
    return computed, time.monotonic() - began


def _run_on_ray(run: Run, work: Work, images: Source, address: str, threads: int) -> tuple[int, float]:
    """Compute the shards that are missing, on a Ray cluster; return the number of their images and the seconds."""
    from keras_archs.batch.ray_cluster import connected, results

    if run.is_finished:
        return 0, 0.0
    done = computed = 0
    try:
        with ExitStack() as cluster:
            with quiet_ray():
                cluster.enter_context(connected(address))
            show = cluster.enter_context(shown_pace(images))
            began = time.monotonic()
            for result in results(run, work, address, threads=threads):
                done += result.summary.images
                computed += result.summary.images if result.is_new else 0
                show(done)
    except KeyboardInterrupt:
        typer.echo(f"interrupted after {done:,} images; the same command goes on from there", err=True)
        raise
    return computed, time.monotonic() - began
