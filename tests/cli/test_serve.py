"""`keras-archs serve`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import serving.run
from keras_archs.cli.app import run
from tests.support.command_line import Captured, failure


def test_only_given_flags_are_passed_to_the_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, object]] = []
    monkeypatch.setattr(serving.run, "serve", lambda **flags: calls.append(flags))
    assert run(["serve"]) == 0
    assert run(["serve", "--repository", "r", "--port", "0", "--preload", "a", "--preload", "b"]) == 0
    assert run(["serve", "--runtime", "tensorflow", "--precision", "bf16", "--threads", "3"]) == 0
    assert run(["serve", "--max-body-mb", "1.5"]) == 0
    assert calls == [
        {},
        {"repository": Path("r"), "port": 0, "preload": ("a", "b")},
        {"runtime": "tensorflow", "precision": "bf16", "threads": 3},
        {"max_body_mb": 1.5},
    ]


def test_a_missing_package_names_the_extra_to_install(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("serving.run", "serving.protocols.server"):
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert "needs uvicorn" in failure(capsys, ["serve"])
    assert "pip install 'keras-archs[serve]'" in failure(capsys, ["serve"])


def test_invalid_settings_give_a_one_line_error(capsys: Captured) -> None:
    assert "--runtime" in failure(capsys, ["serve", "--runtime", "caffe"])
    assert "max_body_mb" in failure(capsys, ["serve", "--max-body-mb", "-1"])
