"""Keys as credentials: read from their file or folder, and read again when it changes."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

from keras_archs import keys
from serving.core.access import Caller
from serving.core.reloading import Reloading

log = logging.getLogger(__name__)


class Keys:
    """The keys of a file or a folder.

    They are found by their hash in a dictionary, whose time tells nothing about a key: a guess would have to be chosen
    by its SHA-256 to come closer.
    """

    def __init__(self, path: Path, *, poll_seconds: float) -> None:
        """Read the keys.

        Args:
            path: File or folder, as `keras_archs.keys` describes it.
            poll_seconds: Seconds between two looks at it.

        Raises:
            KeysError: What is there are no keys.
            OSError: The file or the folder cannot be read.
        """
        self._path = path
        self._reloading = Reloading(self.reload, seconds=poll_seconds, failure="the keys cannot be read again")
        self._error = ""
        self._stored = keys.read(path)
        self._callers = _callers(self._stored)
        if not self._stored:
            log.warning("%s has no keys: every request that needs one is refused", path)

    def known(self, credential: str) -> Caller | None:
        """Return the caller whose key it is; None if there is no such key, or it has expired."""
        caller, expires = self._callers.get(keys.sha256_of(credential), (None, 0.0))
        return caller if time.time() < expires else None

    async def verify(self, credential: str) -> Caller | None:
        """Return None: a key that is not known is not valid."""
        return None

    def start(self) -> None:
        """Begin to look for changes."""
        self._reloading.start()

    async def close(self) -> None:
        """Stop looking for changes."""
        await self._reloading.close()

    async def reload(self) -> None:
        """Read the keys again. If they cannot be read, those that were read before stay valid."""
        try:
            stored = await asyncio.to_thread(keys.read, self._path)
        except (keys.KeysError, OSError) as error:
            if str(error) != self._error:
                log.error("the keys cannot be read, so those read before stay valid: %s", error)
            self._error = str(error)
            return
        if self._error:
            log.info("the keys can be read again")
        self._error = ""
        if stored != self._stored:
            added, removed = stored.keys() - self._stored.keys(), self._stored.keys() - stored.keys()
            log.info("the keys have changed: added %s; removed %s", _listed(added), _listed(removed))
            self._stored, self._callers = stored, _callers(stored)


def _callers(stored: dict[str, keys.Key]) -> dict[str, tuple[Caller, float]]:
    """Return the callers, and when their keys expire, by the keys' hashes."""
    return {
        key.sha256: (
            Caller(
                name,
                None if keys.EVERY_MODEL in key.models else frozenset(key.models),
                requests_per_minute=key.requests_per_minute,
                bytes_per_minute=key.bytes_per_minute,
                weight=key.weight,
            ),
            float("inf") if key.expires is None else key.expires.timestamp(),
        )
        for name, key in stored.items()
    }


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
