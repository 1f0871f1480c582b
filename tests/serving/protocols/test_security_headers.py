"""What browsers are told about the answers of the gateway."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from fastapi import FastAPI

from serving.app import create_app
from serving.settings import Settings
from tests.support.asgi import get


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    app = create_app(Settings(repository=tmp_path_factory.mktemp("models")))

    async def fail() -> None:
        raise RuntimeError

    app.add_api_route("/fails", fail)
    return app


def policy(gateway: FastAPI, path: str) -> dict[str, str]:
    """Return the content security policy of an answer, by directive."""
    directives = get(gateway, path).headers["Content-Security-Policy"].split("; ")
    return {name: value for name, _, value in (directive.partition(" ") for directive in directives)}


@pytest.mark.parametrize("path", ["/", "/docs", "/models", "/nowhere", "/static/coffee.jpg", "/fails", "/v2"])
def test_no_answer_is_sniffed_embedded_or_named_elsewhere(gateway: FastAPI, path: str) -> None:
    headers = get(gateway, path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    directives = policy(gateway, path)
    assert directives["default-src"] == "'none'"
    assert directives["frame-ancestors"] == "'none'"
    assert directives["base-uri"] == "'none'"


def test_the_page_runs_its_own_files_only_and_sends_nothing_elsewhere(gateway: FastAPI) -> None:
    directives = policy(gateway, "/")
    for name in ("script-src", "style-src", "connect-src"):
        assert directives[name] == "'self'"
    assert directives["img-src"] == "'self' blob: data:"
    page = get(gateway, "/").text
    assert not re.search(r"<script>|<style|\sstyle=|\son\w+=", page)


def test_the_documentation_runs_its_own_script_by_its_hash(gateway: FastAPI) -> None:
    (script,) = re.findall(rb"<script>(.*?)</script>", get(gateway, "/docs").content, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
    assert policy(gateway, "/docs")["script-src"] == f"'self' 'sha256-{digest}'"


def test_other_answers_may_run_nothing(gateway: FastAPI) -> None:
    assert policy(gateway, "/models").keys() == {"default-src", "base-uri", "form-action", "frame-ancestors"}
