"""Where images come from: files, folders, lists, tables, archives and addresses, in an order that stays the same."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from pathlib import Path
from threading import Thread

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from keras_archs.batch.sources import Source, open_source
from keras_archs.images.errors import ImageError
from tests.batch.conftest import IN_ORDER


def listed(*places: str | Path, **options: object) -> list[list[str]]:
    """Return the paths of the images, shard by shard."""
    source = open_source([str(place) for place in places], **options)  # type: ignore[arg-type]
    return [[item.path for item in shard.items()] for shard in source.shards()]


def contents(source: Source) -> list[bytes]:
    return [item.read() for shard in source.shards() for item in shard.items()]


def test_a_folder_is_listed_in_the_order_of_names_without_what_is_hidden_or_no_image(photos: Path) -> None:
    for name in ("notes.txt", ".hidden.jpg", ".folder/x.jpg", "scan.tiff"):
        (photos / name).parent.mkdir(exist_ok=True)
        (photos / name).write_bytes(b"")
    in_order = [IN_ORDER[0], "scan.tiff", *IN_ORDER[1:]]
    assert listed(photos) == [[str(photos / name) for name in in_order]]


def test_the_order_of_files_is_that_of_the_command_line(photos: Path) -> None:
    files = [photos / "b/2.jpg", photos / "a/1.jpg"]
    assert listed(*files) == [[str(file) for file in files]]


def test_shards_have_a_fixed_number_of_images_across_folders(photos: Path) -> None:
    shards = listed(photos / "a", photos / "b", shard_images=2)
    assert [len(shard) for shard in shards] == [2, 2, 1]
    assert list(chain(*shards)) == [str(photos / name) for name in IN_ORDER[1:]]


def test_a_place_that_does_not_exist_is_refused_at_once() -> None:
    with pytest.raises(FileNotFoundError):
        open_source(["nowhere"])


def test_paths_in_a_list_are_relative_to_the_list(photos: Path, tmp_path: Path) -> None:
    absolute = photos / "b/2.jpg"
    (tmp_path / "list.txt").write_text(f"photos/a/1.jpg\n\n  {absolute}\r\nmemory://x/y.jpg\n", encoding="utf-8")
    expected = [[str(photos / "a/1.jpg"), str(absolute), "memory://x/y.jpg"]]
    assert listed(tmp_path / "list.txt") == expected
    (tmp_path / "list.csv").write_text(f"label,path\nx,photos/a/1.jpg\nx,{absolute}\nx,memory://x/y.jpg\n")
    assert listed(tmp_path / "list.csv") == expected


def test_a_csv_list_without_the_column_path_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("file\n1.jpg\n")
    with pytest.raises(ValueError, match=r"list\.csv: the first line must have the column path; got file"):
        listed(tmp_path / "list.csv")


def write_table(path: Path, images: Sequence[object], name: str = "image", *, row_group: int = 2) -> Path:
    pq.write_table(pa.table({name: images, "label": list(range(len(images)))}), path, row_group_size=row_group)
    return path


def test_a_table_of_images_is_divided_between_row_groups(tmp_path: Path) -> None:
    table = write_table(tmp_path / "x.parquet", [bytes([65 + n]) for n in range(7)])
    assert [len(shard) for shard in listed(table, shard_images=3)] == [4, 3]
    source = open_source([str(table)], shard_images=3)
    assert b"".join(contents(source)) == b"ABCDEFG"
    assert source.count() == 7
    assert listed(table)[0][5] == f"{table}#5"


def test_a_table_may_have_images_as_structures_as_the_hugging_face_hub_has(tmp_path: Path) -> None:
    table = write_table(tmp_path / "x.parquet", [{"bytes": b"A", "path": None}, {"bytes": None, "path": "b.jpg"}])
    first, second = (item for shard in open_source([str(table)]).shards() for item in shard.items())
    assert first.read() == b"A"
    with pytest.raises(ImageError, match="The row has no image"):
        second.read()


def test_a_table_may_have_paths(photos: Path, tmp_path: Path) -> None:
    table = write_table(tmp_path / "x.parquet", ["photos/a/1.jpg", "photos/c.jpeg"], "file")
    assert listed(table, image_column="file") == [[str(photos / "a/1.jpg"), str(photos / "c.jpeg")]]


def test_a_row_without_a_path_is_a_file_that_does_not_exist(tmp_path: Path) -> None:
    table = write_table(tmp_path / "x.parquet", [None, "a.jpg", ""], "file")
    assert listed(table, image_column="file") == [[f"{table}#0", str(tmp_path / "a.jpg"), f"{table}#2"]]


@pytest.mark.parametrize("row_group", [None, 4])
def test_a_table_without_rows_has_no_shard(tmp_path: Path, row_group: int | None) -> None:
    empty = pa.table({"image": pa.array([], pa.binary())})
    pq.write_table(empty, tmp_path / "x.parquet", row_group_size=row_group)
    assert listed(tmp_path / "x.parquet") == []


def test_a_table_without_the_column_names_those_that_it_has(tmp_path: Path) -> None:
    table = write_table(tmp_path / "x.parquet", [b"A"], "photo")
    with pytest.raises(ValueError, match=r"has no column 'image'; give --image-column with one of photo, label"):
        listed(table)
    with pytest.raises(ValueError, match="must have images as bytes, or paths as text; got int64"):
        listed(table, image_column="label")


def test_a_damaged_table_gives_its_rows_an_error(tmp_path: Path) -> None:
    table = write_table(tmp_path / "x.parquet", [bytes(100_000) + bytes([n]) for n in range(4)], row_group=4)
    content = bytearray(table.read_bytes())
    content[4:200] = bytes(196)  # the header of the first page
    table.write_bytes(content)
    items = [item for shard in open_source([str(table)]).shards() for item in shard.items()]
    assert [item.path for item in items] == [f"{table}#{row}" for row in range(4)]
    with pytest.raises(ImageError, match="The table is damaged"):
        items[0].read()


def write_archive(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            information = tarfile.TarInfo(name)
            information.size = len(content)
            archive.addfile(information, io.BytesIO(content))
    return path


MEMBERS = {"0.jpg": b"A", "0.cls": b"3", "sub/1.png": b"B", "._0.jpg": b"x"}


@pytest.mark.parametrize(("name", "mode"), [("x.tar", "w"), ("x.tar.gz", "w:gz"), ("x.tgz", "w:gz")])
def test_an_archive_is_a_shard_of_its_images(tmp_path: Path, name: str, mode: str) -> None:
    archive = write_archive(tmp_path / name, MEMBERS, mode)
    assert listed(archive, archive) == 2 * [[f"{archive}#0.jpg", f"{archive}#sub/1.png"]]
    source = open_source([str(archive)])
    assert contents(source) == [b"A", b"B"]
    assert source.count() is None


@pytest.mark.parametrize(("name", "mode"), [("x.tar", "w"), ("x.tar.gz", "w:gz")])
def test_an_archive_that_ends_early_gives_the_images_before_the_damage_and_an_error(
    tmp_path: Path, name: str, mode: str
) -> None:
    noise = Path(pa.__file__).read_bytes() * 4
    archive = write_archive(tmp_path / name, {"0.jpg": b"A", "1.jpg": noise}, mode)
    archive.write_bytes(archive.read_bytes()[: 2000 if mode == "w" else 700])
    first, last = next(open_source([str(archive)]).shards()).items()
    assert (first.read(), last.path) == (b"A", str(archive))
    with pytest.raises(ImageError, match="The archive is damaged after 1 images"):
        last.read()


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    """fsspec's file system in memory, empty before and after."""
    file_system = fsspec.filesystem("memory")
    file_system.store.clear()
    yield file_system
    file_system.store.clear()


def test_addresses_of_folders_lists_tables_and_archives_are_read_like_files(
    memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    memory.pipe({"/bucket/b/2.jpg": b"C", "/bucket/a.png": b"A", "/bucket/b/1.jpg": b"B", "/bucket/notes.md": b""})
    memory.pipe("/bucket/list.txt", b"b/1.jpg\n")
    memory.put(str(write_archive(tmp_path / "x.tar", MEMBERS)), "/bucket/x.tar")
    memory.put(str(write_table(tmp_path / "x.parquet", [b"P"])), "/bucket/x.parquet")
    places = ["memory://bucket", "memory://bucket/list.txt", "memory://bucket/x.tar", "memory://bucket/x.parquet"]
    assert list(chain(*listed(*places))) == [
        *("memory://bucket/a.png", "memory://bucket/b/1.jpg", "memory://bucket/b/2.jpg", "memory://bucket/b/1.jpg"),
        *("memory://bucket/x.tar#0.jpg", "memory://bucket/x.tar#sub/1.png", "memory://bucket/x.parquet#0"),
    ]
    assert contents(open_source(places)) == [b"A", b"B", b"C", b"B", b"A", b"B", b"P"]


def test_an_address_where_nothing_is_ends_the_listing() -> None:
    with pytest.raises(FileNotFoundError) as raised:
        listed("memory://nowhere/photos")
    assert raised.value.filename == "memory://nowhere/photos"


def test_an_address_of_no_known_kind_is_refused() -> None:
    with pytest.raises(ValueError, match=r"there are no addresses s4://; allowed are s3://"):
        open_source(["s4://bucket"])


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server that fails once before it gives /shy.jpg, has no /none.jpg, and never gives /busy.jpg."""
    monkeypatch.setattr("keras_archs.batch.sources.places._PAUSES", (0.0, 0.0))
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            failures = {"/shy.jpg": 1, "/none.jpg": 0, "/busy.jpg": 9}[self.path]
            status = 503 if asked.count(self.path) <= failures else 404 if self.path == "/none.jpg" else 200
            self.send_response(status)
            self.send_header("Content-Length", "1")
            self.end_headers()
            self.wfile.write(b"W")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_address_is_asked_again_unless_there_is_no_such_file(web: str) -> None:
    good, none, busy = next(open_source([f"{web}/{name}.jpg" for name in ("shy", "none", "busy")]).shards()).items()
    assert good.read() == b"W"
    with pytest.raises(FileNotFoundError):
        none.read()
    with pytest.raises(OSError, match="503"):
        busy.read()


def test_a_shard_can_be_sent_to_another_process_and_is_recognised_by_what_it_names(photos: Path) -> None:
    first, second = open_source([str(photos)], shard_images=3).shards()
    again = pickle.loads(pickle.dumps(first))
    assert [item.path for item in again.items()] == [item.path for item in first.items()]
    assert again.fingerprint == first.fingerprint != second.fingerprint
