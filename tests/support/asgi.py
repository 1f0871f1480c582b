"""Ask an application without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import httpx
from fastapi import FastAPI

ADDRESS = "192.0.2.1"
"""Address of the client."""


def answers(
    app: FastAPI, *requests: tuple[str, str, Mapping[str, str]], content: bytes = b"", server: str = "http://gateway"
) -> list[httpx.Response]:
    """Send requests one after the other.

    Args:
        app: Application to ask.
        *requests: Method, path and headers of each request.
        content: Body of requests with the method POST.
        server: Scheme, host and port that are asked.
    """

    async def send() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app, client=(ADDRESS, 5000), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport) as client:
            return [
                await client.request(
                    method, f"{server}{path}", headers=dict(headers), content=content if method == "POST" else None
                )
                for method, path, headers in requests
            ]

    return asyncio.run(send())


def get(app: FastAPI, path: str, **headers: str) -> httpx.Response:
    """Get a path; the names of headers have underscores for hyphens."""
    (answer,) = answers(app, ("GET", path, {name.replace("_", "-"): value for name, value in headers.items()}))
    return answer
