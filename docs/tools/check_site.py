"""Check that a built site loads nothing from other hosts: python -m docs.tools.check_site FOLDER."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

_REMOTE = re.compile(r"\s*(?:https?:)?//", re.IGNORECASE)
_CSS_URL = re.compile(r"url\(\s*['\"]?((?:https?:)?//[^)'\"]+)|@import\s+['\"]((?:https?:)?//[^'\"]+)", re.IGNORECASE)
_JS_LOAD = re.compile(
    r"(?:\bimport\s*\(|\bfrom|\bfetch\s*\(|\.src\s*=|importScripts\s*\()\s*['\"`]((?:https?:)?//[^'\"`]+)",
    re.IGNORECASE,
)
_LINKS_THAT_LOAD = {"stylesheet", "icon", "preload", "modulepreload", "prefetch", "preconnect", "manifest"}


def remote_resources(folder: Path) -> list[str]:
    """Return what the pages, styles and scripts of a site would load from other hosts.

    Args:
        folder: Folder of the built site.

    Returns:
        One line for each resource, with its file. Links that a reader follows do not count.
    """
    found = []
    for path in sorted(folder.rglob("*")):
        scan = {".html": _in_html, ".css": _in_css, ".svg": _in_html, ".js": _in_script}.get(path.suffix)
        if scan:
            text = path.read_text(encoding="utf-8")
            found += [f"{path.relative_to(folder)}: {resource}" for resource in scan(text)]
    return found


class _Resources(HTMLParser):
    """Collects what a page loads: sources of scripts, images and frames, styles, and styles within the page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag if tag in {"style", "script"} else ""
        values = {name: value or "" for name, value in attrs}
        loaded = [values[name] for name in ("src", "srcset", "poster", "data") if name in values]
        if tag == "link" and _LINKS_THAT_LOAD & set(values.get("rel", "").split()):
            loaded.append(values.get("href", ""))
        if tag in {"image", "use"}:
            loaded += [values.get("href", ""), values.get("xlink:href", "")]
        self.found += [resource for resource in loaded if _REMOTE.match(resource)]
        self.found += _in_css(values.get("style", ""))

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "style":
            self.found += _in_css(data)
        if self._inside == "script":
            self.found += _in_script(data)


def _in_html(text: str) -> list[str]:
    parser = _Resources()
    parser.feed(text)
    return parser.found


def _in_css(text: str) -> list[str]:
    return [url or imported for url, imported in _CSS_URL.findall(text)]


def _in_script(text: str) -> list[str]:
    return _JS_LOAD.findall(text)


def main(arguments: list[str]) -> Iterator[str]:
    """Yield a line for each resource that the sites in these folders would load from another host."""
    for argument in arguments:
        yield from remote_resources(Path(argument))


if __name__ == "__main__":
    lines = list(main(sys.argv[1:]))
    print("\n".join(lines) or "the site loads nothing from other hosts")  # noqa: T201  (the command's answer)
    sys.exit(bool(lines))
