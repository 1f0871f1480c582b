"""A run from a source to a table: begun, continued after any interruption, and put together at its end.

    results.parquet               the table
    results.parquet.shards/       until the table is whole
        _run.json                 what is computed of which source
        part-00000000.parquet     rows of the first shard

If the output is a folder, the shards stay there, and are the table.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from keras_archs.batch.assembly import FORMATS, put_together
from keras_archs.batch.shard_files import INCOMING, ShardSummary, read_shard_file
from keras_archs.batch.sources.shard import Shard
from keras_archs.batch.sources.source import Source
from keras_archs.batch.work import Work
from keras_archs.repository.folders import LOCK, flush, locked

_STATE: Final = "_run.json"
_WHOLE: Final = "_whole"
_SHARD: Final = "part-{:08}.parquet"


@dataclass(frozen=True)
class Output:
    """Where the table goes."""

    path: Path
    """A file, whose suffix is the format, or a folder."""

    def __post_init__(self) -> None:
        if self.path.suffix not in {"", *FORMATS}:
            raise ValueError(
                f"the output must be a file that ends in {', '.join(FORMATS)}, or a folder; got {self.path}"
            )

    @property
    def is_file(self) -> bool:
        """Whether the shards are put together into one file."""
        return self.path.suffix != ""

    @property
    def folder(self) -> Path:
        """Folder of the shards."""
        return self.path.with_name(f"{self.path.name}.shards") if self.is_file else self.path


class Run:
    """The shards of a run, and which of them are there; `Run.open` begins or continues one."""

    def __init__(self, output: Output, source: Source, state: _State) -> None:
        """Refer to a run.

        Args:
            output: Where the table goes.
            source: The images.
            state: How far the run has come.
        """
        self._output = output
        self._source = source
        self._state = state
        self.listed = 0
        """Number of shards, as far as the source has been listed."""
        self.found = state.summary
        """Shards that were there already, as far as `pending` has come."""

    @classmethod
    @contextmanager
    def open(cls, out: Path, work: Work, source: Source, *, overwrite: bool = False) -> Iterator[Self]:
        """Begin a run, or continue it where it was interrupted; inside the `with` block no other process can.

        Args:
            out: A file that ends in .parquet, .csv or .jsonl, or a folder, which keeps the shards as Parquet files.
            work: What to compute.
            source: The images.
            overwrite: Whether to replace a table that exists, and to give up another run that was interrupted there.

        Raises:
            FileExistsError: There is a table.
            ValueError: The output has another suffix or files of something else, another run was interrupted there, or
                another process has the run.
            OSError: The output cannot be written.
        """
        output = Output(out)
        about = {
            **work.describe(),
            "source": list(source.places),
            "images in a shard": source.shard_images,
            "image column": source.image_column,
        }
        _refuse_to_replace(output, overwrite=overwrite)
        output.folder.mkdir(parents=True, exist_ok=True)
        with locked(output.folder, "writes"):
            yield cls(output, source, _begin_or_continue(output, about, overwrite=overwrite))

    @property
    def folder(self) -> Path:
        """Folder of the shards."""
        return self._output.folder

    @property
    def is_finished(self) -> bool:
        """Whether all shards are computed and put together."""
        return self._state.finished

    def pending(self) -> Iterator[tuple[Path, Shard]]:
        """Yield each shard whose file is missing, with the path of the file, while the source is listed.

        Raises:
            ValueError: The source has no images, or others than when the run began.
            OSError: The source cannot be listed.
        """
        if self.is_finished:
            return
        for path, shard in self.shards():
            there = self.there(path, shard)
            if there is None:
                yield path, shard
            else:
                self.found += there

    def shards(self) -> Iterator[tuple[Path, Shard]]:
        """Yield each shard with the path of its file, whether it is there or not, while the source is listed.

        Raises:
            ValueError: The source has no images, or fewer than when the run began.
            OSError: The source cannot be listed.
        """
        self.listed = 0
        for shard in self._source.shards():
            path = self._file(self.listed)
            self.listed += 1
            yield path, shard
        if self.listed == 0:
            raise self._no_images()
        if self._file(self.listed).exists():
            raise self._changed(self._file(self.listed))

    def there(self, path: Path, shard: Shard) -> ShardSummary | None:
        """Return what is in the file of a shard; None if there is no such file.

        Raises:
            ValueError: The file has the rows of other images.
        """
        try:
            file = read_shard_file(path)
        except FileNotFoundError:
            return None
        if file.fingerprint != shard.fingerprint:
            raise self._changed(path)
        return file.summary

    def finish(self) -> ShardSummary:
        """Make the table of the shards, once `pending` has come to its end and all files are there.

        Returns:
            Number of images, and of those with an error.

        Raises:
            ValueError: The source has no images, or the shards were computed in different arithmetic.
            OSError: A shard's file is missing, or the table cannot be written.
        """
        folder, out = self._output.folder, self._output.path
        if not self.is_finished:
            parts = [self._file(number) for number in range(self.listed)]
            files = [read_shard_file(part) for part in parts]
            summary = sum((file.summary for file in files), ShardSummary())
            if not summary.images:
                raise self._no_images()
            arithmetics = sorted({file.arithmetic for file in files})
            if len(arithmetics) > 1:
                raise ValueError(
                    f"shards were computed in {' and '.join(arithmetics)}, because the machines differ: begin anew "
                    "with --precision f32 --overwrite"
                )
            if self._output.is_file:
                incoming = folder / f"{INCOMING}{_WHOLE}"
                put_together(parts, incoming, out.suffix, {**self._state.about, "arithmetic": arithmetics[0]})
                flush(incoming)
                incoming.replace(folder / _WHOLE)
            self._state = _State(self._state.about, finished=True, images=summary.images, errors=summary.errors)
            _write_state(folder, self._state)
        if self._output.is_file:
            with suppress(FileNotFoundError):  # an interrupted run has given the table its name already
                (folder / _WHOLE).replace(out)
            flush(out.parent)
            for entry in folder.iterdir():
                if entry.name != _STATE:
                    entry.unlink()
            (folder / _STATE).unlink()  # last: an interrupted run is continued until its folder is empty
            folder.rmdir()
        return self._state.summary

    def _file(self, number: int) -> Path:
        return self._output.folder / _SHARD.format(number)

    def _no_images(self) -> ValueError:
        return ValueError(f"no images in {', '.join(self._source.places)}")

    def _changed(self, path: Path) -> ValueError:
        return ValueError(
            f"the source has changed since this run began: {path} has the rows of other images. Choose another output, "
            f"or remove {self._output.folder} to begin anew"
        )


@dataclass(frozen=True)
class _State:
    """Content of `_run.json`."""

    about: Mapping[str, Any]
    finished: bool = False
    """Whether the table is whole; it may not have its name yet."""
    images: int = 0
    errors: int = 0

    @property
    def summary(self) -> ShardSummary:
        return ShardSummary(self.images, self.errors)


def _refuse_to_replace(output: Output, *, overwrite: bool) -> None:
    """Refuse an output that is a table already; a run that was interrupted in its last moments is continued."""
    state = _read_state(output.folder)
    is_finished = state is not None and state.finished
    is_table = output.path.exists() and not is_finished if output.is_file else is_finished
    if is_table and not overwrite:
        raise FileExistsError(f"{output.path} exists: choose another output, or replace it with --overwrite")


def _begin_or_continue(output: Output, about: Mapping[str, Any], *, overwrite: bool) -> _State:
    folder = output.folder
    state = _read_state(folder)
    new = _State(about)
    if state is None:
        others = sorted(entry.name for entry in folder.iterdir() if entry.name not in {LOCK, f"{INCOMING}{_STATE}"})
        if others:
            raise ValueError(f"{folder} has files of something else, such as {others[0]}: choose another output")
        _write_state(folder, new)
        return new
    differences = [
        f"{key} {state.about.get(key)!r}, now {about.get(key)!r}"
        for key in {**state.about, **about}
        if state.about.get(key) != about.get(key)
    ]
    is_begun = state.finished or any(folder.glob("part-*.parquet"))
    if differences and is_begun and not overwrite:
        raise ValueError(
            f"another run was interrupted in {folder}: it had {'; '.join(differences)}. Continue it with its own "
            "command, choose another output, or begin anew with --overwrite"
        )
    for entry in folder.glob(f"{INCOMING}*"):
        entry.unlink()
    if not differences and (output.is_file or not state.finished):
        return state
    _write_state(folder, _State({}))  # if the removal is interrupted, what remains is no other run's
    for entry in (folder / _WHOLE, *folder.glob("part-*.parquet")):
        entry.unlink(missing_ok=True)
    _write_state(folder, new)
    return new


def _write_state(folder: Path, state: _State) -> None:
    incoming = folder / f"{INCOMING}{_STATE}"
    incoming.write_text(json.dumps(asdict(state), indent=1) + "\n", encoding="utf-8")
    flush(incoming)
    incoming.replace(folder / _STATE)
    flush(folder)


def _read_state(folder: Path) -> _State | None:
    """Return the state of a run; None if there is none."""
    path = folder / _STATE
    try:
        return _State(**json.loads(path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged: {error}; remove {folder} to begin anew") from error
