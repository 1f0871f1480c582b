"""Addresses, access token and cache of the Hugging Face hub, without its client.

The environment variables are those of the client: HF_ENDPOINT, HF_TOKEN, HF_TOKEN_PATH, HF_HOME, HF_HUB_CACHE and
HF_HUB_OFFLINE.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from keras_archs.cards.weights_entry import WeightsFile

OFFLINE = "HF_HUB_OFFLINE"
_SHA256 = re.compile(r"[0-9a-f]{64}")


def address(file: WeightsFile) -> str:
    """Return the URL of a file in a repository of the hub."""
    return f"{_endpoint()}/{file.location}/resolve/{file.revision}/{file.name}"


def headers() -> dict[str, str]:
    """Return the header that carries the user's token, for requests to the hub alone; empty without a token."""
    token = os.environ.get("HF_TOKEN", "").strip()
    if not token:
        stored = Path(os.environ.get("HF_TOKEN_PATH") or _home() / "token").expanduser()
        token = stored.read_text(encoding="utf-8").strip() if stored.is_file() else ""
    return {"Authorization": f"Bearer {token}"} if token else {}


def advice(url: str, status: int) -> str:
    """Return what to do about an answer of the hub, or an empty text if it is not the hub's or speaks for itself."""
    if not url.startswith(f"{_endpoint()}/"):
        return ""
    match status:
        case 401 | 403:
            return "the repository does not exist, or needs an access token in HF_TOKEN"
        case 429:
            return "too many requests; an access token in HF_TOKEN allows more"
        case _:
            return ""


def sha256_in(headers: Mapping[str, str]) -> str | None:
    """Return the SHA-256 of a large file from the hub's answer, whose body comes from another server."""
    linked = headers.get("X-Linked-Etag", "").removeprefix("W/").strip('"')
    return linked if _SHA256.fullmatch(linked) else None


def cache() -> Path:
    """Return the folder in which the hub's client keeps files."""
    return Path(os.environ.get("HF_HUB_CACHE") or _home() / "hub").expanduser()


def cached(folder: Path, file: WeightsFile) -> Iterator[Path]:
    """Yield the path of a file in the hub's cache, if the cache has the entry's revision of the repository."""
    repository = folder / f"models--{file.location.replace('/', '--')}"
    try:
        commit = (repository / "refs" / file.revision).read_text(encoding="utf-8").strip()
    except OSError:
        commit = file.revision
    yield repository / "snapshots" / commit / file.name


def sha256_in_cache(path: Path) -> str | None:
    """Return the SHA-256 of a large file in the hub's cache: the name of the file that the path links to."""
    target = path.resolve()
    return target.name if target.parent.name == "blobs" and _SHA256.fullmatch(target.name) else None


def _endpoint() -> str:
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def _home() -> Path:
    default = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "huggingface")
    return Path(os.environ.get("HF_HOME") or default).expanduser()
