"""The snippets of the README and of the site's pages."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [
    README,
    *(path for path in sorted((ROOT / "docs").rglob("*.md")) if not {"generated", "_build"} & set(path.parts)),
]
COFFEE = ROOT / "serving" / "web" / "coffee.jpg"


@dataclass(frozen=True)
class Curl:
    """A curl line of a page."""

    line: str
    answer: str | None
    """The JSON block that follows the line; None if the next block is of another language."""


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    """Return the code blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", text(page), re.DOTALL | re.MULTILINE)


def commands(page: Path) -> list[str]:
    """Return the commands of the console blocks: lines that end in a backslash joined, comments removed."""
    lines = "\n".join(blocks(page, "console")).replace("\\\n", " ").splitlines()
    return [re.sub(r"\s+# .*", "", line.removeprefix("$ ")) for line in lines if line.startswith("$ ")]


def printed(page: Path) -> list[str]:
    """Return what the comments of Python blocks say that ``print`` prints: behind the call or on the line below."""
    code = "\n".join(blocks(page, "python"))
    return re.findall(r"^print\(.*\)(?:  |\n)# (.*)$", code, re.MULTILINE)


def curls(page: Path) -> list[Curl]:
    """Return the curl lines, each with the JSON that follows."""
    found = re.findall(r"^\$ (curl [^\n]*)\n```\n(?:\n```json\n(.*?)^```)?", text(page), re.DOTALL | re.MULTILINE)
    return [Curl(line, answer or None) for line, answer in found]


def pages_with(language: str) -> list[Path]:
    return [page for page in PAGES if blocks(page, language)]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def words(command: str) -> list[str]:
    return shlex.split(command)
