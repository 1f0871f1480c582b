"""Brings one file over HTTP into the cache.

pooch downloads into a temporary file beside the target, retries, and gives the file its name when it is complete. This
module adds what pooch does not know: which answers are final, redirects that must not be followed, free space, progress
on the terminal, and our own check of the content before the file gets its name.
"""

import logging
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pooch
import requests
import urllib3.exceptions

from keras_archs.cards.weights_entry import WeightsFile
from keras_archs.weights.download import first_seen, hub, integrity
from keras_archs.weights.download.progress import progress_bar

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 30.0
"""Longest time between two parts of an answer."""
RETRIES = 2
"""Further attempts after a broken connection or an answer that says to come back later."""
_CHUNK = 1 << 20
_LEFT_OVER_SECONDS = 24 * 3600
"""Age of a temporary file of a process that was killed, after which the file is removed."""


class TransferError(Exception):
    """A source does not give the file; the message says why."""


class StorageError(Exception):
    """The file cannot be stored, whatever its source; the message says why."""


def download(url: str, file: WeightsFile, target: Path, *, headers: Mapping[str, str]) -> None:
    """Download a file, and give it its name after its content has been verified.

    Args:
        url: Address of the file.
        file: What was published.
        target: Path of the file in the cache. Nothing is there, unless another process brings the same file.
        headers: Headers for the server of the URL, which servers that it redirects to do not get.

    Raises:
        TransferError: If the server does not give the file.
        ContentError: If the content is not what was published.
        StorageError: If the cache cannot be written, or has too little space.
    """
    _remove_left_overs(target.parent)
    pooch.get_logger().setLevel(logging.WARNING)
    source = pooch.create(
        target.parent, base_url="", registry={target.name: None}, urls={target.name: url}, retry_if_failed=RETRIES
    )
    try:
        source.fetch(target.name, downloader=_Verified(file, target, headers))
    except requests.RequestException as error:
        raise TransferError(_reason(error)) from error
    except ValueError as error:
        raise TransferError(f"the answer is no valid HTTP: {error}") from error
    except OSError as error:
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error  # pooch wraps errors of permissions
        raise StorageError(f"{target.parent} cannot be written: {cause.strerror or cause}") from error


@dataclass
class _Verified:
    """Downloads for pooch, into a temporary file, and verifies the content."""

    file: WeightsFile
    target: Path
    headers: Mapping[str, str]
    _claimed: str | None = None

    def __call__(self, url: str, output_file: str, _pooch: pooch.Pooch, check_only: bool = False) -> None:
        self._claimed = None
        with progress_bar(f"{self.target.name} from {urlsplit(url).hostname}") as bar:
            download = pooch.HTTPDownloader(
                progressbar=bar,
                chunk_size=_CHUNK,
                headers={"Accept-Encoding": "identity", "User-Agent": "keras-archs", **self.headers},
                timeout=(CONNECT_SECONDS, SILENCE_SECONDS),
                hooks={"response": self._inspect},
            )
            download(url, output_file, None)
        temporary = Path(output_file)
        record = first_seen.record_path(self.target)
        integrity.verify(temporary, self.file, record=record, source=url, claimed=self._claimed)
        temporary.chmod(0o644)  # a cache may be shared

    def _inspect(self, response: requests.Response, **_: object) -> None:
        """Look at the head of an answer before its body is read or a redirect is followed."""
        self._claimed = self._claimed or hub.sha256_in(response.headers)
        if response.is_redirect:
            target = urljoin(response.url, response.headers["Location"])
            if response.url.startswith("https:") and not target.startswith("https:"):
                raise TransferError("the server redirects to an address without encryption")
            return
        if 400 <= response.status_code < 500 and response.status_code not in (408, 429):
            raise TransferError(_refusal(response))
        response.raise_for_status()
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise TransferError("the server sent a web page instead of the file")
        length = response.headers.get("Content-Length")
        is_delimited = length is not None or "chunked" in response.headers.get("Transfer-Encoding", "")
        if not is_delimited and self.file.checksum is None and self._claimed is None:
            raise TransferError("the server does not say how long the file is, and no checksum of it was published")
        needed = int(length) if length is not None else self.file.size or 0
        free = shutil.disk_usage(self.target.parent).free
        if needed > free:
            raise StorageError(f"{self.target.parent} has {free:,} bytes of free space, the file needs {needed:,}")


def _refusal(response: requests.Response) -> str:
    answer = f"{urlsplit(response.url).hostname} answered {response.status_code} {response.reason}".rstrip()
    advice = hub.advice(response.url, response.status_code)
    return f"{answer}: {advice}" if advice else answer


def _reason(error: requests.RequestException) -> str:
    match error:
        case requests.HTTPError(response=requests.Response() as response):
            return _refusal(response)
        case requests.ConnectTimeout():
            return f"no connection within {CONNECT_SECONDS:g} s"
        case requests.Timeout():
            return f"no answer within {SILENCE_SECONDS:g} s"
        case requests.exceptions.ChunkedEncodingError():
            return "the connection broke before the file was complete"
        case requests.ConnectionError(args=(urllib3.exceptions.ReadTimeoutError(), *_)):
            return f"the server fell silent for {SILENCE_SECONDS:g} s"
        case _:
            return f"{type(error).__name__}: {_innermost(error)}"


def _innermost(error: BaseException) -> BaseException:
    """Return the error of the system or of the protocol that libraries have wrapped."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error


def _remove_left_overs(folder: Path) -> None:
    """Remove temporary files of processes that were killed long ago."""
    for path in folder.glob("tmp*"):  # the names that pooch gives
        with suppress(OSError):
            if path.stat().st_mtime < time.time() - _LEFT_OVER_SECONDS:
                path.unlink()
