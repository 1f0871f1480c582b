"""`keras-archs evaluate`: photographs with known answers give exact counts, however their classes are named."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from skimage import data

from keras_archs.cli import evaluate
from keras_archs.cli.app import run
from keras_archs.images.labels import imagenet_labels
from keras_archs.repository import artifact
from tests.support.command_line import Captured, failure
from tests.support.images import encode

LITE0 = "efficientnet-lite0"
Publish = Callable[[Path, int], Path]

CLASSES = {"coffee": "espresso", "chelsea": "tiger cat", "camera": "tripod", "rocket": "missile"}
"""Photographs, and the classes that EfficientNet-Lite0 finds the likeliest."""


@pytest.fixture(scope="module")
def files(photographs: dict[str, bytes]) -> dict[str, bytes]:
    return {**photographs, "rocket": encode(data.rocket())}


@pytest.fixture(scope="module")
def repository(lite0_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a cache of its own for what OpenVINO converts."""
    copied = tmp_path_factory.mktemp("evaluated") / "models"
    shutil.copytree(lite0_repository, copied)
    return copied


@pytest.fixture
def folder(tmp_path: Path, files: dict[str, bytes]) -> Path:
    """Four photographs in the right class folders, two in wrong ones, a damaged file, and a text."""
    arranged = {
        **{f"{CLASSES[name]}/{name}.jpg": content for name, content in files.items()},
        "cup/coffee.jpg": files["coffee"],  # the second class of five
        "tench/camera.jpg": files["camera"],
        "tench/damaged.jpg": files["coffee"][:1000],
        "tench/notes.txt": b"a fish",
    }
    for path, content in arranged.items():
        (tmp_path / "images" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / path).write_bytes(content)
    (tmp_path / "images" / "goldfish").mkdir()
    return tmp_path / "images"


def evaluated(captured: Captured, folder: Path, repository: Path, *options: str) -> dict[str, Any]:
    assert run(["evaluate", LITE0, str(folder), "--repository", str(repository), "--json", *options]) == 0
    document: dict[str, Any] = json.loads(captured.readouterr().out)
    return document


def counts(document: Mapping[str, Any]) -> tuple[int, int, int]:
    return document["top1"]["right"], document["top5"]["right"], document["images"]


def test_photographs_with_known_answers_are_counted_exactly(capsys: Captured, folder: Path, repository: Path) -> None:
    document = evaluated(capsys, folder, repository)
    assert counts(document) == (4, 5, 6)
    assert document["top1"]["value"] == pytest.approx(4 / 6)
    assert (document["top1"]["low"], document["top1"]["high"]) == pytest.approx((0.3000, 0.9032), abs=5e-5)
    assert document["classes"] == {"network": 1000, "with_images": 6}
    assert [(entry["label"], entry["images"], entry["top1"], entry["top5"]) for entry in document["per_class"]] == [
        ("tench", 1, 0, 0),
        ("tiger cat", 1, 1, 1),
        ("missile", 1, 1, 1),
        ("tripod", 1, 1, 1),
        ("espresso", 1, 1, 1),
        ("cup", 1, 0, 1),
    ]
    assert [(entry["label"]["label"], entry["predicted"]["label"]) for entry in document["confusions"]] == [
        ("tench", "tripod"),
        ("cup", "espresso"),
    ]
    assert document["unreadable"] == [{"path": "tench/damaged.jpg", "error": "The image is damaged or incomplete."}]
    assert (document["empty_classes"], document["ignored_files"]) == (["goldfish"], 1)


def test_the_files_have_a_line_and_a_picture_per_mistake(
    capsys: Captured, folder: Path, repository: Path, tmp_path: Path
) -> None:
    report, table = tmp_path / "report.html", tmp_path / "answers.csv"
    document = evaluated(capsys, folder, repository, "--report", str(report), "--csv", str(table))
    with table.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [(row["path"], row["predicted"], row["top1"], row["top5"]) for row in rows] == [
        ("cup/coffee.jpg", "espresso", "0", "1"),
        ("espresso/coffee.jpg", "espresso", "1", "1"),
        ("missile/rocket.jpg", "missile", "1", "1"),
        ("tench/camera.jpg", "tripod", "0", "0"),
        ("tench/damaged.jpg", "", "", ""),
        ("tiger cat/chelsea.jpg", "tiger cat", "1", "1"),
        ("tripod/camera.jpg", "tripod", "1", "1"),
    ]
    assert float(rows[1]["probability"]) == pytest.approx(0.95, abs=0.02)
    assert rows[0]["probability"] == rows[1]["probability"]
    assert sum(row["top1"] == "1" for row in rows) == document["top1"]["right"]
    page = report.read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 2
    assert "66.7&nbsp;%" in page


def renamed(folder: Path, name: Callable[[int], str]) -> None:
    for index, label in enumerate(imagenet_labels()):
        if (folder / label.name).exists():
            (folder / label.name).rename(folder / name(index))


@pytest.mark.parametrize(
    "name",
    [str, lambda index: imagenet_labels()[index].wordnet_id, lambda index: imagenet_labels()[index].name.upper()],
    ids=["index", "WordNet id", "label in capitals"],
)
def test_class_folders_of_every_spelling_give_the_same(
    capsys: Captured, folder: Path, repository: Path, name: Callable[[int], str]
) -> None:
    renamed(folder, name)
    assert counts(evaluated(capsys, folder, repository)) == (4, 5, 6)


def test_a_table_of_paths_and_labels_gives_the_same(capsys: Captured, folder: Path, repository: Path) -> None:
    lines = [f"{path.relative_to(folder.parent)},{path.parent.name}" for path in folder.rglob("*.jpg")]
    table = folder.parent / "images.csv"
    table.write_text("\n".join(["path,label", *lines, "images/lost.jpg,tench"]))
    document = evaluated(capsys, table, repository)
    assert counts(document) == (4, 5, 6)
    assert {entry["path"]: entry["error"] for entry in document["unreadable"]} == {
        "images/tench/damaged.jpg": "The image is damaged or incomplete.",
        "images/lost.jpg": "No such file or directory.",
    }


def test_people_read_a_table_and_notes_of_what_was_left_out(capsys: Captured, folder: Path, repository: Path) -> None:
    assert run(["evaluate", LITE0, str(folder), "--repository", str(repository), "--strict"]) == 1
    output = capsys.readouterr()
    lines = [line.split() for line in output.out.splitlines()]
    assert ["top-1", "66.7", "%", "30.0", "to", "90.3", "%", "75.1", "%", "inside", "the", "interval"] in lines
    assert ["top-5", "83.3", "%", "43.6", "to", "97.0", "%"] in lines
    assert ["cup", "1", "0.0", "%", "100.0", "%", "espresso", "(1)"] in lines
    assert re.search(r"^6 images of 6 of 1,000 classes, \d+ images/s$", output.out, re.MULTILINE)
    assert output.err.splitlines() == [
        "note: the images do not show all classes of the network, so the published accuracy may differ",
        "note: images that could not be read, and count neither as right nor as wrong: 1",
        "  tench/damaged.jpg: The image is damaged or incomplete.",
        "note: class folders without an image: 1 (goldfish)",
        "note: files that are no images of a class: 1 (.txt: 1): tench/notes.txt",
    ]


def test_a_network_of_the_registry_is_measured_beside_its_published_accuracy(capsys: Captured, folder: Path) -> None:
    assert run(["evaluate", LITE0, str(folder), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert counts(document) == (4, 5, 6)
    assert (document["model"], document["version"]) == (LITE0, None)
    assert (document["top1"]["published"], document["top1"]["published_is"]) == (0.751, "inside")
    assert "lite" in document["published_by"]


# refusals, before a runtime starts

PUBLISHED = ("--repository", "REPOSITORY")


@pytest.fixture
def no_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("keras_archs.cli.evaluate.installed_runtime")


@pytest.mark.usefixtures("no_runtime")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no-such-net", "FOLDER"], "unknown model 'no-such-net'"),
        ([LITE0, "/no/such/folder"], "No such file"),
        ([LITE0, "FOLDER", "--version", "1"], "give --repository DIR"),
        ([LITE0, "FOLDER", "--repository", "REPOSITORY", "--weights", "imagenet"], "does not go with --repository"),
        ([LITE0, "FOLDER", "--repository", "REPOSITORY", "--version", "2"], "no version 2"),
        (
            [LITE0, "FOLDER", "--repository", "REPOSITORY", "--version", "best"],
            "no version label 'best' .* labels: none",
        ),
        ([LITE0, "FOLDER", "--report", "report.pdf"], r"--report must end in \.html"),
        ([LITE0, "FOLDER", "--csv", "/no/such/folder/a.csv"], "folder of --csv does not exist or cannot be written"),
        (["densenet-264", "FOLDER"], "give --weights PATH or --allow-untrained"),
    ],
)
def test_wrong_arguments_are_refused_at_once(
    capsys: Captured, folder: Path, repository: Path, arguments: list[str], message: str
) -> None:
    places = {"FOLDER": str(folder), "REPOSITORY": str(repository)}
    assert re.search(message, failure(capsys, ["evaluate", *(places.get(word, word) for word in arguments)]))


@pytest.mark.usefixtures("no_runtime")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("crane", r"1 of 6 class folders name more than one class: 'crane' \(134: crane \(bird\) and 517"),
        (
            "trypod",
            r"1 of 6 class folders name no class of the network: 'trypod' \(is it 'tripod'\?\); .*to 999",
        ),
    ],
)
def test_a_class_folder_that_names_no_class_or_several_is_refused(
    capsys: Captured, folder: Path, repository: Path, name: str, message: str
) -> None:
    (folder / "tripod").rename(folder / name)
    arguments = ["evaluate", LITE0, str(folder), "--repository", str(repository)]
    assert re.search(message, failure(capsys, arguments))


@pytest.mark.usefixtures("no_runtime")
def test_the_kind_of_names_can_be_chosen(capsys: Captured, folder: Path, repository: Path) -> None:
    arguments = ["evaluate", LITE0, str(folder), "--repository", str(repository), "--names"]
    assert "a class is named by its index (0 to 999)" in failure(capsys, [*arguments, "index"])
    assert "a class is named by its WordNet id (n01440764)" in failure(capsys, [*arguments, "wordnet"])


def one(folder: Path, files: dict[str, bytes]) -> Path:
    """A folder with a photograph of the class "one"."""
    (folder / "images" / "one").mkdir(parents=True)
    (folder / "images" / "one" / "coffee.jpg").write_bytes(files["coffee"])
    return folder / "images"


def test_a_version_label_chooses_a_version(
    capsys: Captured, tmp_path: Path, files: dict[str, bytes], constant_classifier: Publish
) -> None:
    repository = tmp_path / "models"
    for version in (1, 2):
        constant_classifier(repository, version)
    images = one(tmp_path, files)
    assert run(["repo", "label", "tiny", "stable=1", "--repository", str(repository)]) == 0
    capsys.readouterr()
    right = {}
    for chosen in ("stable", "2"):
        options = ["--repository", str(repository), "--version", chosen, "--json"]
        assert run(["evaluate", "tiny", str(images), *options]) == 0
        document = json.loads(capsys.readouterr().out)
        assert "top5" not in document
        right[document["version"]] = document["top1"]["right"]
    assert right == {1: 1, 2: 0}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"weights": {"trained": False, "source": "none", "sha256": None}},
            "untrained weights: give --allow-untrained",
        ),
        ({"multi_label": True}, "several classes of tiny may apply to an image"),
    ],
    ids=["untrained", "multi-label"],
)
def test_versions_without_an_accuracy_are_refused(
    capsys: Captured,
    tmp_path: Path,
    files: dict[str, bytes],
    constant_classifier: Publish,
    changed: dict[str, Any],
    message: str,
) -> None:
    card = constant_classifier(tmp_path / "models", 1) / artifact.CARD
    card.write_text(json.dumps(json.loads(card.read_text()) | changed))
    arguments = ["evaluate", "tiny", str(one(tmp_path, files)), "--repository", str(tmp_path / "models")]
    assert message in failure(capsys, arguments)


def test_ctrl_c_says_how_far_it_came_and_writes_nothing(
    capsys: Captured, folder: Path, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, on_progress: Callable[[int], None]) -> None:
        on_progress(3)
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate, "run", interrupted)
    outputs = ["--csv", str(tmp_path / "a.csv"), "--report", str(tmp_path / "a.html")]
    assert run(["evaluate", LITE0, str(folder), "--repository", str(repository), *outputs]) == 130
    assert capsys.readouterr() == ("", "interrupted after 3 of 7 images; nothing was written\n")
    assert not list(tmp_path.glob("a.*"))
