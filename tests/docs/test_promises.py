"""The page of promises names, for each promise, tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.support.snippets import ROOT, text

ROWS = [
    row
    for row in re.findall(r"^\| (.+?) \| (.+?) \|$", text(ROOT / "docs" / "promises.md"), re.MULTILINE)
    if row[0] not in {"promise", "---"}
]


@cache
def functions(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize(("promise", "tests"), ROWS, ids=[promise for promise, _ in ROWS])
def test_a_promise_is_held_by_a_test(promise: str, tests: str) -> None:
    references = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", tests)
    assert references, promise
    assert [f"{path}::{name}" for path, name in references if name not in functions(path)] == []


def test_there_are_promises() -> None:
    assert len(ROWS) > 20
