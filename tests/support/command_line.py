"""Run `keras-archs` commands in this process or in one of their own."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, TypeAlias

import pytest

from keras_archs.cli.app import run

Captured: TypeAlias = pytest.CaptureFixture[str]


def command(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own; `options` are those of `subprocess.run`."""
    script = "from keras_archs.cli import main; main()"
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.run([sys.executable, "-c", script, *arguments], text=True, check=False, **streams)


def failure(captured: Captured, arguments: Sequence[str]) -> str:
    """Run a command that must fail with a one-line error and no output, and return the line."""
    assert run(arguments) == 2
    output = captured.readouterr()
    assert output.out == ""
    assert re.fullmatch(r"error: [^\n]+\n", output.err)
    return output.err
