"""A run from a source to a table: continued after any interruption, and never mixed with another run."""

from __future__ import annotations

import csv
import json
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from keras_archs.batch import run as run_module
from keras_archs.batch.predictor import Predictor
from keras_archs.batch.run import Run
from keras_archs.batch.shard_files import ShardSummary, SourceGoneError, write_shards
from keras_archs.batch.sources import open_source
from keras_archs.batch.sources.shard import Shard
from keras_archs.batch.work import Work
from keras_archs.images.decoding import load_image
from tests.batch.conftest import IN_ORDER


def predict(
    predictor: Predictor, out: Path, photos: Path, *, shards: int | None = None, shard_images: int = 2, **options: bool
) -> ShardSummary | None:
    """Compute `shards` shards and stop as if interrupted, or compute all and finish."""
    source = open_source([str(photos)], shard_images=shard_images)
    with Run.open(out, predictor.work, source, **options) as run:
        write_shards(predictor, islice(run.pending(), shards))
        return run.finish() if shards is None else None


def rows(out: Path) -> list[dict[str, Any]]:
    return pq.read_table(out).to_pylist()  # type: ignore[no-any-return]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "results.parquet"


def test_a_table_has_a_row_per_image_in_order(predictor: Predictor, photos: Path, out: Path) -> None:
    assert predict(predictor, out, photos) == ShardSummary(images=6, errors=1)
    table = rows(out)
    assert [row["path"] for row in table] == [str(photos / name) for name in IN_ORDER]
    first = table[0]
    assert first["class_index"] == [1, 0]
    assert first["label"] == ["one", "zero"]
    assert first["wordnet_id"] == [None, None]
    assert first["score"] == pytest.approx([0.98671, 0.00665], abs=1e-4)
    assert (first["width"], first["height"], first["error"]) == (600, 400, None)
    damaged = table[4]
    assert damaged["error"] == "The image is damaged or incomplete."
    assert damaged["label"] is damaged["score"] is None
    assert sorted(out.parent.iterdir()) == [photos, out]


def test_a_table_says_what_its_rows_are(predictor: Predictor, photos: Path, out: Path) -> None:
    predict(predictor, out, photos)
    about = json.loads(pq.read_schema(out).metadata[b"keras_archs"])
    assert (about["model"], about["version"], about["top_k"], about["source"]) == ("tiny", 1, 2, [str(photos)])


def test_csv_has_numbered_columns_and_json_lines_have_lists(predictor: Predictor, photos: Path, tmp_path: Path) -> None:
    for suffix in ("csv", "jsonl"):
        predict(predictor, tmp_path / f"results.{suffix}", photos)
    with (tmp_path / "results.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == [
        *("path", "width", "height"),
        *("class_index_1", "label_1", "wordnet_id_1", "score_1", "class_index_2", "label_2", "wordnet_id_2", "score_2"),
        "error",
    ]
    assert (table[0]["label_1"], table[0]["label_2"], table[0]["score_1"][:6]) == ("one", "zero", "0.9867")
    assert (table[4]["label_1"], table[4]["error"]) == ("", "The image is damaged or incomplete.")
    lines = (tmp_path / "results.jsonl").read_text().splitlines()
    documents = [json.loads(line) for line in lines]
    assert [document["path"] for document in documents] == [str(photos / name) for name in IN_ORDER]
    assert documents[0]["label"] == ["one", "zero"]
    assert documents[4]["label"] is None


def test_a_folder_keeps_the_shards_and_is_read_as_one_table(
    predictor: Predictor, photos: Path, tmp_path: Path, out: Path
) -> None:
    folder = tmp_path / "results"
    predict(predictor, folder, photos)
    assert sorted(part.name for part in folder.glob("*.parquet")) == [
        f"part-0000000{number}.parquet" for number in range(3)
    ]
    predict(predictor, out, photos)
    assert rows(folder) == rows(out)


@pytest.mark.parametrize("name", ["results.parquet", "results.csv", "results"])
def test_an_interrupted_run_goes_on_and_gives_the_same_table(
    predictor: Predictor, photos: Path, tmp_path: Path, name: str
) -> None:
    undisturbed, interrupted = tmp_path / "1" / name, tmp_path / "2" / name
    predict(predictor, undisturbed, photos)
    for _ in range(2):
        predict(predictor, interrupted, photos, shards=1)
    source = open_source([str(photos)], shard_images=2)
    with Run.open(interrupted, predictor.work, source) as run:
        assert [[item.path for item in shard.items()] for _, shard in run.pending()] == [
            [str(photos / name) for name in IN_ORDER[4:]]
        ]
        assert run.found == ShardSummary(images=4, errors=0)
    predict(predictor, interrupted, photos)
    files = [
        sorted(path for path in place.rglob("*") if path.is_file())
        for place in (undisturbed.parent, interrupted.parent)
    ]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]


def test_a_shard_without_images_between_others_is_a_file_without_rows(
    predictor: Predictor, photos: Path, tmp_path: Path
) -> None:
    for name, paths in {"0": ["c.jpeg"], "1": [], "2": ["a/1.jpg", "a/2.JPG"]}.items():
        with tarfile.open(tmp_path / f"{name}.tar", "w") as archive:
            for path in paths:
                archive.add(photos / path, path)
    source = open_source([str(tmp_path / f"{number}.tar") for number in range(3)])
    with Run.open(tmp_path / "results", predictor.work, source) as run:
        assert write_shards(predictor, run.pending()) == ShardSummary(images=3, errors=0)
        run.finish()
    parts = sorted((tmp_path / "results").glob("*.parquet"))
    assert [pq.read_metadata(part).num_rows for part in parts] == [1, 0, 2]


def test_shards_before_one_that_cannot_be_listed_are_kept(predictor: Predictor, photos: Path, out: Path) -> None:
    source = open_source([str(photos), str(photos / "c.jpeg")], shard_images=2)

    def until_the_disk_is_gone(run: Run) -> Iterator[tuple[Path, Shard]]:
        yield from islice(run.pending(), 3)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"), Run.open(out, predictor.work, source) as run:
        write_shards(predictor, until_the_disk_is_gone(run))
    with Run.open(out, predictor.work, source) as run:
        assert len(list(run.pending())) == 1
        assert run.found == ShardSummary(images=6, errors=1)


def test_a_shard_is_the_same_bytes_whatever_the_number_of_threads(
    work: Work, predictor: Predictor, photos: Path, tmp_path: Path
) -> None:
    (shard,) = open_source([str(photos)]).shards()
    paths = [tmp_path / "1.parquet", tmp_path / "2.parquet"]
    for path, loaded in zip(paths, (predictor, Predictor(work, threads=1)), strict=True):
        write_shards(loaded, [(path, shard)])
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_run_that_is_interrupted_while_the_table_is_made_goes_on(
    predictor: Predictor, photos: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(predictor, out, photos, shards=1)
    for function in ("put_together", "_write_state"):
        real = getattr(run_module, function)

        def interrupted(*arguments: Any, real: Any = real) -> None:
            real(*arguments)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(run_module, function, interrupted)
            predict(predictor, out, photos)
        assert not out.exists()
    assert predict(predictor, out, photos) == ShardSummary(6, 1)
    assert len(rows(out)) == 6


def test_a_table_that_exists_is_replaced_only_on_request(predictor: Predictor, photos: Path, tmp_path: Path) -> None:
    for out in (tmp_path / "results.parquet", tmp_path / "results"):
        predict(predictor, out, photos)
        with pytest.raises(FileExistsError, match="exists: choose another output, or replace it with --overwrite"):
            predict(predictor, out, photos)
        (photos / "d.jpg").write_bytes((photos / "c.jpeg").read_bytes())
        assert predict(predictor, out, photos, overwrite=True) == ShardSummary(7, 1)
        assert len(rows(out)) == 7
        (photos / "d.jpg").unlink()


def test_another_run_in_the_same_place_is_refused_with_what_differs(
    predictor: Predictor, photos: Path, out: Path, work: Work
) -> None:
    predict(predictor, out, photos, shards=1)
    source = open_source([str(photos)], shard_images=2)
    with (
        pytest.raises(ValueError, match=r"it had top_k 2, now 3\. .*--overwrite"),
        Run.open(out, replace(work, top_k=3), source),
    ):
        pass
    with Run.open(out, replace(work, top_k=3), source, overwrite=True) as run:
        assert len(list(run.pending())) == 3


def test_a_run_that_has_computed_nothing_is_no_other_run(
    predictor: Predictor, photos: Path, out: Path, work: Work
) -> None:
    predict(predictor, out, photos, shards=0)
    with Run.open(out, replace(work, top_k=1), open_source([str(photos)])) as run:
        assert len(list(run.pending())) == 1


def test_a_source_that_has_changed_is_refused(predictor: Predictor, photos: Path, out: Path) -> None:
    predict(predictor, out, photos, shards=2)
    (photos / "a/0.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match="the source has changed since this run began"):
        predict(predictor, out, photos)
    (photos / "a/0.jpg").unlink()
    for name in IN_ORDER[2:]:
        (photos / name).unlink()
    with pytest.raises(ValueError, match="the source has changed since this run began"):
        predict(predictor, out, photos)


def test_a_folder_with_files_of_something_else_is_left_alone(predictor: Predictor, photos: Path) -> None:
    with pytest.raises(ValueError, match=r"files of something else, such as a: choose another output"):
        predict(predictor, photos, photos, overwrite=True)


def test_two_processes_cannot_have_the_same_run(predictor: Predictor, photos: Path, out: Path) -> None:
    source = open_source([str(photos)])
    with (
        Run.open(out, predictor.work, source),
        pytest.raises(ValueError, match="is in use: another process writes there"),
        Run.open(out, predictor.work, source),
    ):
        pass


def test_a_source_without_images_and_an_output_without_a_format_are_refused(
    predictor: Predictor, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    for name in ("empty", "empty.tar"):
        with pytest.raises(ValueError, match=rf"no images in .*{name}"):
            predict(predictor, tmp_path / f"{name}.parquet", tmp_path / name)
    with pytest.raises(
        ValueError, match=r"must be a file that ends in \.parquet, \.csv, \.jsonl, or a folder; got x\.txt"
    ):
        predict(predictor, Path("x.txt"), photos)


def test_a_source_that_is_gone_stops_the_run_so_that_it_can_go_on(
    predictor: Predictor, photos: Path, tmp_path: Path, out: Path
) -> None:
    lines = ["photos/c.jpeg", "photos/a/1.jpg", "lost/1.jpg", "lost/2.jpg"]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    with pytest.raises(SourceGoneError, match=r"none of 2 images could be read; .*lost/2\.jpg: No such file"):
        predict(predictor, out, tmp_path / "list.txt")
    (tmp_path / "lost").mkdir()
    (tmp_path / "lost/1.jpg").write_bytes((photos / "c.jpeg").read_bytes())
    assert predict(predictor, out, tmp_path / "list.txt") == ShardSummary(images=4, errors=1)


def test_what_an_interrupted_writer_left_is_removed(predictor: Predictor, photos: Path, out: Path) -> None:
    predict(predictor, out, photos, shards=1)
    left = out.with_name("results.parquet.shards") / ".incoming-part-00000001-x"
    left.write_bytes(b"half")
    predict(predictor, out, photos, shards=0)
    assert not left.exists()


def test_a_large_table_has_row_groups_of_limited_size(
    predictor: Predictor, photos: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keras_archs.batch.assembly._ROW_GROUP_BYTES", 100)
    predict(predictor, out, photos)
    assert [pq.read_metadata(out).row_group(number).num_rows for number in range(3)] == [2, 2, 2]
    assert [row["path"] for row in rows(out)] == [str(photos / name) for name in IN_ORDER]


def test_embeddings_are_the_input_of_the_last_dense_layer(
    work: Work, photos: Path, tmp_path: Path, photographs: dict[str, bytes]
) -> None:
    predictor = Predictor(replace(work, embeddings=True), threads=2)
    for name in ("results.parquet", "results.jsonl"):
        predict(predictor, tmp_path / name, photos)
    table = rows(tmp_path / "results.parquet")
    assert pq.read_schema(tmp_path / "results.parquet").field("embedding").type == pa.list_(pa.float32(), 3)
    assert table[4]["embedding"] is None
    pixels = load_image(photographs["coffee"], predictor.card.preprocessing)
    coffee = table[5]  # `tiny` pools its input, and normalises it to 0 to 1
    assert coffee["path"].endswith("b/2.jpg")
    assert coffee["embedding"] == pytest.approx((pixels.mean(axis=(0, 1)) / 255).tolist(), abs=1e-4)
    assert coffee["label"] == ["one", "zero"]
    documents = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert documents[5]["embedding"] == pytest.approx(coffee["embedding"], abs=1e-6)
