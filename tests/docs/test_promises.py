"""The page of promises names, for each promise, tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.support.snippets import ROOT, text

PROMISES = [
    (promise, re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", tests))
    for promise, tests in re.findall(r"^- (.+?)\n\n((?:  .+\n)+)", text(ROOT / "docs" / "promises.md"), re.MULTILINE)
]


@cache
def functions(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize(("promise", "tests"), PROMISES, ids=[promise for promise, _ in PROMISES])
def test_a_promise_is_held_by_a_test(promise: str, tests: list[tuple[str, str]]) -> None:
    assert tests, promise
    assert [f"{path}::{name}" for path, name in tests if name not in functions(path)] == []


def test_every_item_of_the_page_is_a_promise() -> None:
    items = re.findall(r"^- ", text(ROOT / "docs" / "promises.md"), re.MULTILINE)
    assert len(items) == len(PROMISES) > 20
