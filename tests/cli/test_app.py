"""What all commands have in common: one-line errors, exit statuses, and light imports."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from keras_archs.cli import list_info
from keras_archs.cli.app import app, run
from tests.support.command_line import Captured, command, failure


def test_version_and_help_are_printed() -> None:
    runner = CliRunner()
    assert runner.invoke(app, ["--version"]).output == f"keras-archs {metadata.version('keras-archs')}\n"
    for arguments in ([], ["--help"]):
        result = runner.invoke(app, arguments)
        assert result.exit_code == 0
        assert all(name in result.output for name in ("list", "info", "export", "classify", "serve"))
    assert "KERAS_ARCHS_MAX_BODY_MB" in runner.invoke(app, ["serve", "--help"]).output


@pytest.mark.parametrize("arguments", [["lst"], ["list", "--foo"], ["info"], ["classify", "--top-k", "0", "x.png"]])
def test_wrong_usage_gives_a_one_line_error(capsys: Captured, arguments: list[str]) -> None:
    failure(capsys, arguments)


@pytest.mark.parametrize(
    ("arguments", "raised"),
    [
        (["info", "eficientnet-lite0"], "UnknownModelError: "),
        (["classify", "/no/such/picture.png"], "FileNotFoundError: "),
        (["repo", "list", "--repository", "/no/such/folder"], "NotPublishedError: "),
        (["serve", "--engine", "tf-serving"], "ValueError: "),
        (["list", "--foo"], "NoSuchOption: "),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_traceback_shows_where_an_error_comes_from(capsys: Captured, arguments: list[str], raised: str) -> None:
    message = failure(capsys, arguments)
    assert run(["--traceback", *arguments]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("Traceback (most recent call last):\n")
    assert output.err.endswith(message)
    assert raised in output.err
    assert failure(capsys, arguments) == message  # the option is for one invocation


def test_ctrl_c_exits_with_130_and_no_output(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_pattern: str) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(list_info, "list_models", interrupt)
    for arguments in (["list"], ["--traceback", "list"]):
        assert run(arguments) == 130
        assert capsys.readouterr() == ("", "")


def test_a_closed_pipe_gives_no_error_message() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        for arguments in (["list"], ["--traceback", "list"]):
            assert command(*arguments, stdout=closed).stderr == ""


@pytest.mark.parametrize("arguments", [["list"], ["info", "efficientnet-b0"], ["--help"], ["serve", "--help"]])
def test_light_commands_import_no_inference_library(arguments: list[str]) -> None:
    script = """
import sys
from keras_archs.cli.app import run
status = run(sys.argv[1:])
sys.exit(f"imported: {sorted({'keras', 'tensorflow', 'openvino'} & set(sys.modules))}, status {status}")
"""
    result = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
    assert result.stderr == "imported: [], status 0\n"


@pytest.mark.parametrize("name", ["info", "export", "profile", "compare"])
def test_an_unknown_model_name_gives_suggestions(capsys: Captured, name: str) -> None:
    assert "efficientnet-lite0" in failure(capsys, [name, "eficientnet-lite0"])


def test_a_warning_is_one_line_too(capsys: Captured, isolated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_ARCHS_OFFLINE", "1")
    assert run(["export", "resnext-50-32x4d", "--weights", "timm/fb_ssl_yfcc100m_ft_in1k"]) == 2
    warning, error = capsys.readouterr().err.splitlines()[-2:]
    assert warning == (
        "warning: the licence CC-BY-NC-4.0 of the weights 'timm/fb_ssl_yfcc100m_ft_in1k' of resnext-50-32x4d "
        "does not allow commercial use"
    )
    assert error.startswith("error: no usable file of the weights")
