"""`keras-archs train`: what is refused, and what is asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keras_archs.cli.app import run
from keras_archs.training.data.dataset import Dataset
from keras_archs.training.data.duplicates import Duplicate
from keras_archs.training.data.faults import DataFaults
from keras_archs.training.data.label_errors import Suspect
from keras_archs.training.evaluation.answers import Answers
from keras_archs.training.runs.config import read_config
from keras_archs.training.runs.run import Finished
from keras_archs.training.runs.run_folder import RunFolder
from tests.support.command_line import Captured, failure


def fill(folder: Path, names: tuple[str, ...] = ("rose", "tulip"), images: int = 4) -> Path:
    """Write images of one colour each into class folders."""
    for shade, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for number in range(images):
            picture = Image.new("RGB", (32, 24), (20 * shade, 50 * number, 0))
            picture.save(folder / name / f"{number}.png")
    return folder


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with photographs of two flowers, in the working directory."""
    monkeypatch.chdir(tmp_path)
    return fill(Path("photos"))


@dataclass
class Asked(list[RunFolder]):
    """The runs that were begun, of which nothing is carried out, and what they find."""

    unreadable: dict[str, str] = field(default_factory=dict)
    faults: DataFaults | None = None


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    asked = Asked()

    def carry_out(folder: RunFolder, data: Dataset, watch: object, **_: Any) -> Finished:
        asked.append(folder)
        images = data.validation
        count = len(images.paths)
        ones = np.ones(count, np.float32)
        answers = Answers((), images, images.classes, np.zeros(count, np.int32), ones, ones, {}, 1.0)
        return Finished({"validation": answers}, asked.unreadable, asked.faults, {"train": 1.0})

    monkeypatch.setattr("keras_archs.training.runs.run.carry_out", carry_out)
    return asked


# what is asked for


def test_a_head_on_the_default_network_is_the_default(photos: Path, asked: Asked) -> None:
    assert run(["train", str(photos)]) == 0
    (folder,) = asked
    assert folder.path == Path("runs/photos-1")
    config = folder.config
    assert (config.name, config.method, config.recipe) == ("photos", "head", None)
    assert (config.network, config.weights, config.image_size) == ("efficientnet-lite0", "pypi", None)
    assert (config.repository, config.report, config.seed, config.time_limit) == ("models", True, 0, None)
    assert (config.data.source, config.data.classes) == ("photos", ("rose", "tulip"))
    assert config.data.images == {"train": 6, "validation": 2}


def test_options_change_the_recipe(photos: Path, asked: Asked) -> None:
    options = ["--name", "flowers", "--fine-tune", "--epochs", "3", "--batch", "8", "--learning-rate", "0.5"]
    more = ["--time-limit", "10m", "--image-size", "96", "--no-flip", "--seed", "7", "--no-publish", "--no-report"]
    assert run(["train", str(photos), *options, *more]) == 0
    config = asked[0].config
    assert config.recipe is not None
    assert (config.recipe.epochs, config.recipe.batch, config.recipe.learning_rate) == (3, 8, 0.5)
    assert not config.recipe.augmentation.flip
    assert (config.time_limit, config.image_size, config.seed) == (600, 96, 7)
    assert (config.name, config.repository, config.report) == ("flowers", None, False)


def test_from_scratch_has_no_weights(photos: Path, asked: Asked) -> None:
    assert run(["train", str(photos), "--from-scratch", "--recipe", "wide-resnet", "--network", "resnet-20"]) == 0
    assert (asked[0].config.method, asked[0].config.weights) == ("from-scratch", None)


def test_packaged_digits_are_not_mirrored(photos: Path, asked: Asked) -> None:
    assert run(["train", "--data", "digits", "--fine-tune"]) == 0
    config = asked[0].config
    assert (config.name, config.data.source, config.data.packaged, config.data.may_flip) == (
        "digits",
        "digits",
        True,
        False,
    )
    assert config.recipe is not None and not config.recipe.augmentation.flip


@pytest.mark.parametrize(
    ("folder", "name"),
    [("My photos (2026)", "My-photos-2026"), ("été", "t"), ("flowers.v2", "flowers.v2"), ("-x", "x")],
)
def test_the_name_of_the_folder_becomes_a_name(photos: Path, asked: Asked, folder: str, name: str) -> None:
    photos.rename(folder)
    assert run(["train", "--", folder]) == 0
    assert asked[0].config.name == name


def test_the_repository_may_be_set_by_a_variable(photos: Path, asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_ARCHS_REPOSITORY", "elsewhere")
    assert run(["train", str(photos)]) == 0
    assert run(["train", str(photos), "--no-publish"]) == 0
    assert [folder.config.repository for folder in asked] == ["elsewhere", None]


def test_a_configuration_trains_the_same_again(photos: Path, asked: Asked) -> None:
    assert run(["train", str(photos), "--fine-tune", "--epochs", "2", "--no-flip"]) == 0
    assert run(["train", "--config", "runs/photos-1/config.yaml"]) == 0
    first, second = asked
    assert second.name == "photos-2"
    assert second.config == first.config


def test_changed_photographs_are_said_aloud(capsys: Captured, photos: Path, asked: Asked) -> None:
    assert run(["train", str(photos)]) == 0
    fill(photos, ("lily",))
    capsys.readouterr()
    assert run(["train", "--config", "runs/photos-1/config.yaml"]) == 0
    said = "photos has changed: 12 images of 3 classes, and 8 of 2 before"
    assert f"note: {said}\n" in capsys.readouterr().err
    assert read_config(Path("runs/photos-2/config.yaml")).data.classes == ("lily", "rose", "tulip")
    refused = failure(capsys, ["train", "--resume", "runs/photos-1"])
    assert f"{said}; begin a new run: keras-archs train --config runs/photos-1/config.yaml" in refused


def test_people_read_accuracy_and_programs_json(capsys: Captured, photos: Path, asked: Asked) -> None:
    assert run(["train", str(photos)]) == 0
    output = capsys.readouterr()
    assert output.out == (
        "validation accuracy: 100.0 % (2 of 2 images; 95 % interval 34.2 to 100.0 %)\nrun: runs/photos-1\n"
    )
    assert output.err == "photos: 6 train, 2 validation images of 2 classes; run runs/photos-1\n"
    assert run(["train", str(photos), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["accuracy"]["validation"]["right"] == 2
    assert (document["run"], document["classes"]) == ("runs/photos-2", ["rose", "tulip"])


def test_skipped_folders_and_files_are_named(capsys: Captured, photos: Path, asked: Asked) -> None:
    (photos / "lily").mkdir()
    (photos / "rose" / "notes.txt").write_text("a rose")
    assert run(["train", str(photos)]) == 0
    assert capsys.readouterr().err.splitlines()[1:] == [
        "note: class folders without an image, which are skipped: 1",
        "  lily",
        "note: files that are no images of a class, which are skipped: 1",
        "  rose/notes.txt",
    ]


def test_faults_of_the_data_are_counted_and_the_first_ones_named(capsys: Captured, photos: Path, asked: Asked) -> None:
    asked.unreadable = {f"rose/{number}.png": "The image is damaged." for number in range(7)}
    asked.faults = DataFaults(
        duplicates=(Duplicate("rose/1.png", "train", "tulip/2.png", "validation", 3, same_class=False),),
        suspects=(Suspect("rose/3.png", "train", 0, 1, 0.9),),
        small_classes={"rose": 3},
        unreadable={"rose/0.png": "The image is damaged."},
    )
    assert run(["train", str(photos)]) == 0
    assert capsys.readouterr().err.splitlines()[1:] == [
        "note: images that could not be read: 7",
        *(f"  rose/{number}.png: The image is damaged." for number in range(5)),
        "  and 2 more",
        "note: pairs that look alike, across the division or of two classes: 1",
        "  rose/1.png and tulip/2.png",
        "note: possible label errors: 1",
        "  rose/3.png: rose, looks like tulip",
        "note: classes with few training images: 1",
        "  rose: 3",
    ]
    assert run(["train", str(photos), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["faults"].items() >= {"duplicates": 1, "label_errors": 1, "small_classes": 1}.items()
    assert len(document["unreadable"]) == 7


# refusals


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("keras_archs.training.runs.run.carry_out")


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give one of PHOTOS, --data, --config, --resume, --finish; got none of them"),
        (["photos", "--data", "digits"], "got PHOTOS and --data"),
        (["photos", "--resume", "runs/x-1"], "got PHOTOS and --resume"),
        (["--resume", "runs/x-1", "--epochs", "3"], "--epochs cannot go with --resume"),
        (["--finish", "runs/x-1", "--seed", "3"], "--seed cannot go with --finish"),
        (["--config", "c.yaml", "--network", "resnet-20"], "--network cannot go with --config"),
        (["photos", "--epochs", "3", "--batch", "8"], "--batch, --epochs is for --fine-tune and --from-scratch"),
        (["photos", "--recipe", "fine-tune"], "--recipe is for --fine-tune and --from-scratch"),
        (["photos", "--no-flip"], "--no-flip is for --fine-tune"),
        (["photos", "--fine-tune", "--from-scratch"], "give one of them"),
        (["photos", "--from-scratch", "--weights", "imagenet"], "--weights cannot go with --from-scratch"),
        (["photos", "--from-scratch"], "--from-scratch needs --recipe: fine-tune, "),
        (["photos", "--fine-tune", "--recipe", "soup"], "there is no recipe 'soup'; recipes: fine-tune, "),
        (["photos", "--no-publish", "--repository", "models"], "--repository does not go with --no-publish"),
        (["photos", "--processes", "2"], "--processes needs --distributed"),
        (["photos", "--distributed"], "--distributed is for --fine-tune and --from-scratch"),
        (["photos", "--time-limit", "soon"], "a duration is e.g. 250ms, 90s, 10m or 1h30m, above 0; got 'soon'"),
        (["photos", "--fine-tune", "--epochs", "0"], "--epochs"),
        (["photos", "--fine-tune", "--learning-rate", "-1"], "learning_rate of a recipe must be a number above 0"),
        (["photos", "--name", "../x"], "a model's name must be .* got '../x'"),
        (["photos", "--network", "no-such-net"], "unknown model 'no-such-net'"),
        (["photos", "--network", "densenet-264"], "densenet-264 has no default weights: give --weights PATH, or"),
        (["no-such-folder"], "No such file"),
        (["--resume", "runs/x-1"], r"runs/x-1 is no folder of a run: it has no config\.yaml"),
        (["--config", "no.yaml"], "No such file"),
    ],
)
def test_contradictions_are_refused_before_anything_is_written(
    capsys: Captured, photos: Path, arguments: list[str], message: str
) -> None:
    assert re.search(message, failure(capsys, ["train", *arguments]))
    assert [entry.name for entry in Path().iterdir()] == ["photos"]


def only(folder: Path, *names: str) -> None:
    for entry in list(folder.iterdir()):
        if entry.name not in names:
            for file in entry.iterdir():
                file.unlink()
            entry.rmdir()


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (only, "no image"),
        (lambda photos: only(photos, "rose"), "class"),
        (lambda photos: [file.unlink() for file in list((photos / "rose").iterdir())[1:]], "rose"),
        (lambda photos: (photos / "tulip").rename(photos / "Rose"), "'Rose'.*'rose'|'rose'.*'Rose'"),
        (lambda photos: (photos / "tulip").rename(photos / "tu\nlip"), r"tu\\nlip"),
        (lambda photos: (photos / "tulip").rename(photos / ("t" * 200)), "ttt"),
        (lambda photos: (photos / "rose").chmod(0) or photos.rename("elsewhere"), "No such file"),
    ],
    ids=["empty folders", "one class", "one image", "equal but for case", "newline", "long name", "no folder"],
)
def test_bad_folders_are_refused(capsys: Captured, photos: Path, spoil: Callable[[Path], object], message: str) -> None:
    spoil(photos)
    assert re.search(message, failure(capsys, ["train", str(photos)]), re.DOTALL)
    assert not Path("runs").exists() and not Path("models").exists()


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("path,class\nrose/0.png,rose\n", "path.*label"),
        ("", "path.*label"),
        ("path,label\n", "table.csv"),
        ("path,label\nrose/0.png,rose\nrose/1.png,rose\nlost/0.png,tulip\nlost/1.png,tulip\n", r"lost/0\.png"),
        ("path,label\nrose/0.png,rose\nrose/1.png,rose\ntulip/0.png,a/b\ntulip/1.png,a/b\n", "a/b"),
        ("path,label\nrose/0.png,rose\nrose/1.png,rose\nrose/0.png,tulip\nrose/1.png,tulip\n", r"rose/0\.png"),
    ],
    ids=["missing column", "nothing", "no line", "lost files", "a slash", "two labels of a file"],
)
def test_bad_tables_are_refused(capsys: Captured, photos: Path, table: str, message: str) -> None:
    (photos / "table.csv").write_text(table)
    assert re.search(message, failure(capsys, ["train", str(photos / "table.csv")]))
    assert not Path("runs").exists() and not Path("models").exists()


def test_a_missing_package_names_the_extra(capsys: Captured, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keras_archs.cli.train_options.find_spec", lambda module: None if module == "sklearn" else 1)
    assert "training needs scikit-learn: pip install 'keras-archs[train]'" in failure(capsys, ["train", str(photos)])
