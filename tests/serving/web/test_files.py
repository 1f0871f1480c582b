"""The files of the page: their types, and what browsers keep of them."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import httpx
import pytest

from serving import web
from serving.app import create_app
from serving.settings import Settings

MODULES = sorted(path.name for path in (web.FOLDER / "modules").iterdir())
PAGE = (web.FOLDER / "index.html").read_text(encoding="utf-8")


def fetch(tmp_path: Path, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
    """Ask a gateway without models for a file."""

    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(create_app(Settings(repository=tmp_path)))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(get())


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/static/page.css", "text/css; charset=utf-8"),
        ("/static/modules/main.js", "text/javascript; charset=utf-8"),
        ("/static/icon.svg", "image/svg+xml"),
        ("/static/coffee.jpg", "image/jpeg"),
    ],
)
def test_a_file_has_its_type_and_is_not_sent_twice(tmp_path: Path, path: str, media_type: str) -> None:
    first = fetch(tmp_path, path)
    assert first.headers["content-type"] == media_type
    assert first.headers["cache-control"] == "no-cache"
    etag = first.headers["etag"]
    for known in (etag, f'"other", W/{etag}', "*"):
        again = fetch(tmp_path, path, {"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == etag
    assert fetch(tmp_path, path, {"If-None-Match": '"other"'}).content == first.content


@pytest.mark.parametrize("path", ["/static/", "/static/__init__.py", "/static/../settings.py", "/static/modules"])
def test_nothing_else_of_the_folder_is_served(tmp_path: Path, path: str) -> None:
    assert fetch(tmp_path, path).status_code == 404


def test_all_modules_are_fetched_at_once() -> None:
    preloaded = re.findall(r'rel="modulepreload" href="static/modules/([\w.]+)"', PAGE)
    assert sorted([*preloaded, "main.js"]) == MODULES


def test_the_page_has_nothing_that_its_security_policy_forbids() -> None:
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", PAGE)
    assert re.findall(r"<script[^>]*>", PAGE) == ['<script type="module" src="static/modules/main.js">']


@pytest.mark.parametrize("module", MODULES)
def test_modules_import_modules_that_exist_and_write_no_html(module: str) -> None:
    text = (web.FOLDER / "modules" / module).read_text(encoding="utf-8")
    assert set(re.findall(r'from "\./([\w.]+)"', text)) <= set(MODULES)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text)


def test_elements_that_modules_look_up_exist() -> None:
    modules = "".join((web.FOLDER / "modules" / module).read_text(encoding="utf-8") for module in MODULES)
    missing = {name for name in re.findall(r'byId\("([\w-]+)"\)', modules) if f'id="{name}"' not in PAGE}
    assert not missing
