"""A page as a browser's parser sees it."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Final

_INLINE: Final = frozenset({"bdi", "strong", "span", "small", "code", "a", "b"})


class Page(HTMLParser):
    """Elements and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.pictures: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.headings: list[str] = []
        self.rows: list[list[str]] = []
        self.words: list[str] = []
        self._in_cell = False
        self._in_heading = False
        self._is_code = False
        self.feed(text)

    @property
    def text(self) -> str:
        """All text that a reader sees, with single spaces."""
        return " ".join("".join(self.words).replace("\xa0", " ").split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        if tag not in _INLINE:
            self.words.append(" ")
        self._is_code = tag in {"script", "style"}
        if tag == "img":
            self.pictures.append(dict(attrs)["src"] or "")
        if tag == "tr":
            self.rows.append([])
        if tag in {"th", "td"}:
            self.rows[-1].append("")
            self._in_cell = True
        if tag == "h2":
            self.headings.append("")
            self._in_heading = True

    def handle_endtag(self, tag: str) -> None:
        self._is_code = False
        self._in_cell = self._in_cell and tag not in {"th", "td"}
        self._in_heading = self._in_heading and tag != "h2"

    def handle_data(self, data: str) -> None:
        if not self._is_code:
            self.words.append(data)
        if self._in_cell:
            self.rows[-1][-1] += data.replace("\xa0", " ")
        if self._in_heading:
            self.headings[-1] += data
