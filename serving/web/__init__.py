"""The gateway's page: one HTML file and a sample photograph; it loads nothing from other hosts."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

PAGE = Path(__file__).with_name("index.html")
SAMPLE = Path(__file__).with_name("coffee.jpg")

router = APIRouter(include_in_schema=False)


@router.get("/")
async def page() -> FileResponse:
    """Send the page."""
    return FileResponse(PAGE)


@router.get("/static/coffee.jpg")
async def sample() -> FileResponse:
    """Send the sample photograph."""
    return FileResponse(SAMPLE)
