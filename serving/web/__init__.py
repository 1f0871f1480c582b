"""The gateway's page: plain ES modules, a style sheet and sample photographs; it loads nothing from other hosts.

Browsers keep the files, but ask each time whether a file has changed: the modules of two releases never mix.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Self

from fastapi import APIRouter, HTTPException, Request, Response

FOLDER = Path(__file__).parent
SAMPLE = FOLDER / "coffee.jpg"
MEDIA_TYPES: Mapping[str, str] = MappingProxyType(
    {
        ".html": "text/html; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
        ".jpg": "image/jpeg",
    }
)

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class File:
    """A file of the page.

    Attributes:
        content: The bytes.
        media_type: Value of the header `Content-Type`.
        etag: Checksum of the bytes, as the header `ETag` has it.
    """

    content: bytes
    media_type: str
    etag: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file whose suffix has a media type."""
        content = path.read_bytes()
        return cls(content, MEDIA_TYPES[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:16]}"')

    def answer(self, request: Request) -> Response:
        """Send the file, or 304 to a browser that has it already."""
        headers = {"ETag": self.etag, "Cache-Control": "no-cache"}
        known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
        if known & {self.etag, "*"}:
            return Response(status_code=304, headers=headers)
        return Response(self.content, headers={**headers, "Content-Type": self.media_type})


FILES: Mapping[str, File] = MappingProxyType(
    {
        path.relative_to(FOLDER).as_posix(): File.read(path)
        for path in sorted(FOLDER.rglob("*"))
        if path.suffix in MEDIA_TYPES
    }
)


@router.get("/")
async def page(request: Request) -> Response:
    """Send the page."""
    return FILES["index.html"].answer(request)


@router.get("/static/{path:path}")
async def static(path: str, request: Request) -> Response:
    """Send a file that belongs to the page."""
    if path not in FILES:
        raise HTTPException(404, "the page has no such file")
    return FILES[path].answer(request)
