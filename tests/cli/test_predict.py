"""`keras-archs predict`: many images to a table, whatever interrupts."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from keras_archs.batch.sources import Source, open_source
from keras_archs.cli.app import run
from keras_archs.cli.predict_pace import shown_pace
from keras_archs.registry import list_models, model_card
from tests.support.command_line import Captured, command, failure

Publish = Callable[[Path, int], Path]


@pytest.fixture
def repository(tmp_path: Path, constant_classifier: Publish) -> Path:
    """A repository with version 1 of `tiny`, which answers "one" for every image."""
    constant_classifier(tmp_path / "models", 1)
    return tmp_path / "models"


@pytest.fixture
def photos(tmp_path: Path, photographs: dict[str, bytes]) -> Path:
    """A folder with three photographs and a damaged one."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, content in photographs.items():
        (folder / f"{name}.jpg").write_bytes(content)
    (folder / "damaged.jpg").write_bytes(photographs["coffee"][:2000])
    return folder


def arguments(photos: Path, repository: Path, out: Path, *options: str) -> list[str]:
    place = ["--repository", str(repository), "--out", str(out)]
    return ["predict", str(photos), "--model", "tiny", *place, *options]


def test_a_folder_becomes_a_table_and_the_damaged_image_is_noted(
    capsys: Captured, photos: Path, repository: Path, tmp_path: Path
) -> None:
    out = tmp_path / "results.parquet"
    assert run(arguments(photos, repository, out)) == 0
    output = capsys.readouterr()
    assert output.out.startswith(f"{out}: 4 images, ")
    assert output.err == "note: images that could not be read: 1; the column error says why\n"
    table = pq.read_table(out).to_pylist()
    assert [Path(row["path"]).name for row in table] == ["camera.jpg", "chelsea.jpg", "coffee.jpg", "damaged.jpg"]
    assert [row["label"] and row["label"][0] for row in table] == ["one", "one", "one", None]


def test_json_counts_images_and_errors(capsys: Captured, photos: Path, repository: Path, tmp_path: Path) -> None:
    assert run(arguments(photos, repository, tmp_path / "results.csv", "--json", "--top-k", "1")) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["images"], document["errors"], document["computed"]) == (4, 1, 4)
    assert (
        (tmp_path / "results.csv")
        .read_text()
        .startswith("path,width,height,class_index_1,label_1,wordnet_id_1,score_1,error\n")
    )


def test_a_table_that_exists_is_not_replaced(capsys: Captured, photos: Path, repository: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    out.write_text("precious")
    assert "results.jsonl exists: choose another output" in failure(capsys, arguments(photos, repository, out))
    assert out.read_text() == "precious"
    assert not out.with_name("results.jsonl.shards").exists()


def test_wrong_options_are_refused_before_anything_is_loaded(
    capsys: Captured, photos: Path, repository: Path, tmp_path: Path
) -> None:
    out = tmp_path / "results.parquet"
    assert "ends in .parquet, .csv, .jsonl" in failure(capsys, arguments(photos, repository, tmp_path / "x.txt"))
    assert "nowhere: No such file" in failure(capsys, arguments(Path("nowhere"), repository, out))
    assert "--weights does not go with --repository" in failure(
        capsys, arguments(photos, repository, out, "--weights", "x")
    )
    assert "give --repository DIR" in failure(capsys, ["predict", str(photos), "--out", str(out), "--version", "1"])
    assert "did you mean" in failure(capsys, ["predict", str(photos), "--out", str(out), "--model", "resnet50"])


def test_a_network_of_the_registry_is_published_once_and_kept(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    out = tmp_path / "results.parquet"
    assert run(["predict", str(photos), "--out", str(out)]) == 0
    assert pq.read_table(out).to_pylist()[2]["label"][0] == "espresso"
    monkeypatch.setattr("keras_archs.cli.prepared.export_to", None)  # not needed again
    assert run(["predict", str(photos), "--out", str(out), "--overwrite"]) == 0


def test_a_network_without_published_weights_says_what_to_give(capsys: Captured, photos: Path, tmp_path: Path) -> None:
    name = next(name for name in list_models() if model_card(name).default is None)
    message = failure(capsys, ["predict", str(photos), "--out", str(tmp_path / "x"), "--model", name])
    assert f"{name} has no default weights: give " in message
    assert "--repository with a published version" in message


def test_without_a_terminal_a_line_tells_the_pace_from_time_to_time(
    capsys: Captured, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keras_archs.cli.predict_pace._SECONDS_BETWEEN_LINES", 0.0)
    monkeypatch.setattr(Source, "count", lambda self: 1_000_000)
    with shown_pace(open_source([str(photos)])) as show:
        show(1000)  # those of an interrupted run
        done, line = 1000, ""
        deadline = time.monotonic() + 10
        while "left" not in line and time.monotonic() < deadline:
            done += 1
            show(done)
            line = capsys.readouterr().err
    assert re.fullmatch(r"1,\d{3} of 1,000,000 images, [\d,]+ images/s, [\d:, days]+ left\n", line)


def begun(arguments: list[str]) -> subprocess.Popen[str]:
    script = "from keras_archs.cli import main; main()"
    start = ["env", "--default-signal=INT", sys.executable, "-c", script, *arguments]
    return subprocess.Popen(start, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def many(tmp_path: Path, photographs: dict[str, bytes]) -> Path:
    """A list of 400 photographs, which take a second or more."""
    photo = tmp_path / "coffee.jpg"
    photo.write_bytes(photographs["coffee"])
    path = tmp_path / "many.txt"
    path.write_text("coffee.jpg\n" * 400)
    return path


def until(moment: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not moment() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)


def test_ctrl_c_says_how_far_it_came_and_the_same_command_goes_on(many: Path, repository: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.parquet"
    start = arguments(many, repository, out, "--shard-images", "20", "--json")
    shards = out.with_name("results.parquet.shards")
    with begun(start) as process:
        until(lambda: len(list(shards.glob("part-*"))) >= 2, process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "images; the same command goes on from there" in errors
    before = len(list(shards.glob("part-*")))
    again = command(*start)
    assert json.loads(again.stdout) | {"seconds": 0} == {
        "output": str(out),
        "images": 400,
        "errors": 0,
        "computed": 400 - 20 * before,
        "seconds": 0,
    }
    assert pq.read_metadata(out).num_rows == 400


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_gives_the_table_of_one_that_is_not(
    many: Path, repository: Path, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole.parquet", tmp_path / "killed.parquet"
    assert command(*arguments(many, repository, whole, "--shard-images", "20")).returncode == 0
    start = arguments(many, repository, killed, "--shard-images", "20")
    shards = killed.with_name("killed.parquet.shards")
    moments: Iterator[Callable[[], bool]] = iter(
        [
            (shards / "_run.json").exists,
            lambda: any(shards.glob(".incoming-*")),
            *(lambda count=count: len(list(shards.glob("part-*"))) >= count for count in (2, 7, 15, 20)),
            lambda: any(shards.glob(".incoming-_whole")),
            killed.exists,
        ]
    )
    for moment in moments:
        with begun(start) as process:
            until(moment, process)
            process.kill()
        if killed.exists():
            break
    if not killed.exists():
        assert command(*start).returncode == 0
    assert killed.read_bytes() == whole.read_bytes()
