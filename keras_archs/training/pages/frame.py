"""The frame of a page: its head with style and policy, its sections with links to them, and its script."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from typing import Final, NamedTuple

from keras_archs.training.pages.text import text

# Nothing on the page may load anything, whatever the names of files and classes contain.
_POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


class Section(NamedTuple):
    """A part of a page under a heading of its own."""

    heading: str
    content: str
    """HTML; a section without content is left out."""


def page(title: str, sections: Iterable[Section], *, header: str, summary: str, style: str = "") -> str:
    """Return a complete HTML document that loads nothing.

    Args:
        title: Title of the page, also its heading, as plain text.
        sections: Sections, which the page links to at its top.
        header: HTML below the heading.
        summary: HTML between the header and the links to the sections.
        style: Rules of this page besides those of all pages (`page.css`).
    """
    shown = [section for section in sections if section.content]
    links = " ".join(f'<a href="#{number}">{section.heading}</a>' for number, section in enumerate(shown))
    body = "".join(
        f'<h2 id="{number}">{section.heading}</h2>\n{section.content}' for number, section in enumerate(shown)
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{text(title)}</title>
<style>
{_resource("page.css")}{style}</style>
</head>
<body>
<header>
<h1>{text(title)}</h1>
{header}
</header>
<main>
{summary}
<nav>{links}</nav>
{body}
</main>
<script>
{_resource("page.js")}</script>
</body>
</html>
"""


def _resource(file: str) -> str:
    return resources.files("keras_archs.training.pages").joinpath(file).read_text(encoding="utf-8")
