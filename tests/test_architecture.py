"""The drawing in CONTRIBUTING.md is the architecture that import-linter checks."""

from __future__ import annotations

import re
import tomllib
from importlib import import_module
from itertools import zip_longest
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
LAYERS = {contract["containers"][0]: contract["layers"] for contract in CONTRACTS if contract["type"] == "layers"}


def test_the_drawing_is_what_import_linter_checks() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    drawing = re.search(r"```text\n(?P<heads>.*)\n-.*\n(?P<rows>(?:.*\n)+?)```", text)
    assert drawing
    heads = drawing["heads"].split()
    rows = [re.split(r" {3,}", row) for row in drawing["rows"].splitlines()]
    drawn = {head: [room for room in column if room] for head, column in zip(heads, zip_longest(*rows), strict=True)}
    assert drawn == LAYERS


@pytest.mark.parametrize("root", LAYERS)
def test_every_room_says_its_idea_in_a_docstring_of_at_most_two_sentences(root: str) -> None:
    folders = [path.parent.name for path in (ROOT / root.replace(".", "/")).glob("*/__init__.py")]
    assert folders
    for folder in folders:
        docstring = " ".join((import_module(f"{root}.{folder}").__doc__ or "").split())
        sentences = re.findall(r"[.?!](?:\s|$)", docstring.replace("e.g. ", ""))
        assert 1 <= len(sentences) <= 2, f"{root}.{folder}: {docstring}"
