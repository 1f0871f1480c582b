"""Request ids: the client's own where it is safe to log and to send back, else a new id."""

from __future__ import annotations

import random
import re
from uuid import UUID

_SAFE = re.compile(r"[A-Za-z0-9._-]{1,128}")


def new_request_id() -> str:
    """Return a random UUID; unlike `uuid4` it does not ask the kernel for randomness at each request."""
    return UUID(int=random.getrandbits(128), version=4).hex


def safe_request_id(received: str) -> str:
    """Return `received` if it is 1 to 128 ASCII letters, digits, dots, hyphens and underscores, else a new id."""
    return received if _SAFE.fullmatch(received) else new_request_id()
