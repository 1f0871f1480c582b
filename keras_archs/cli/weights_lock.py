"""`keras-archs weights lock`: the SHA-256 of files whose checksum is not known in full, for the tables of entries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from keras_archs.registry import list_models, list_weights

if TYPE_CHECKING:
    from keras_archs.cards.weights_entry import WeightsEntry, WeightsFile

_SHA256_DIGITS = 64


def lock(
    pattern: Annotated[
        str, typer.Argument(metavar="PATTERN", help="Shell-style pattern of the models' names, e.g. 'mobilenet-*'.")
    ] = "*",
    download: Annotated[bool, typer.Option("--download", help="Download the files that are not here.")] = False,
) -> None:
    """Print what to write into the tables of published weights for files whose SHA-256 they do not have in full.

    Each line takes the place of the file's table in keras_archs/cards/published/. Files are checked against what is
    known of them. The exit status is 1 if a file cannot be had.
    """
    if not list_models(pattern):
        raise ValueError(f"no model matches {pattern!r}; patterns are shell-style, e.g. 'mobilenet-*'")
    from keras_archs.weights.download import fetch, find
    from keras_archs.weights.errors import DownloadError

    missing = 0
    for entry in _unlocked(pattern):
        (file,) = entry.files
        try:
            found = fetch(entry) if download else find(entry)
        except DownloadError as error:
            typer.echo(" ".join(str(error).split()), err=True)
            found = None
        if found is None:
            missing += 1
            if not download:
                typer.echo(f"{entry.network} {entry.tag}: {file.address} is not here", err=True)
            continue
        typer.echo(f"# {entry.network} {entry.tag}, read from {found.path}")
        typer.echo(_table(file, found.sha256, found.path.stat().st_size))
    if missing:
        hint = "" if download else "; --download fetches them"
        typer.echo(f"{missing} files could not be read{hint}", err=True)
        raise typer.Exit(1)


def _unlocked(pattern: str) -> Iterator[WeightsEntry]:
    """Yield an entry for each file whose SHA-256 is not known in full, with this file alone."""
    seen: set[WeightsFile] = set()
    for entry in list_weights(pattern):
        for file in entry.files:
            if not _is_locked(file) and file not in seen:
                seen.add(file)
                yield replace(entry, files=(file,))


def _is_locked(file: WeightsFile) -> bool:
    checksum = file.checksum
    return (
        checksum is not None
        and (checksum.algorithm, checksum.of) == ("sha256", "file")
        and len(checksum.value) == _SHA256_DIGITS
    )


def _table(file: WeightsFile, sha256: str, size: int) -> str:
    """Return the file's table in TOML."""
    if file.place == "hub":
        place = {"hub": file.location, "name": file.name, "revision": file.revision}
    else:
        place = {str(file.place): f"{file.location}/{file.name}"}
    pairs = [f'{key} = "{value}"' for key, value in {**place, "sha256": sha256}.items()]
    return f"{{ {', '.join(pairs)}, bytes = {size} }}"
