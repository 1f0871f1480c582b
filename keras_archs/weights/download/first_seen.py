"""Records of what was seen first of files whose checksum nobody has published.

A record lies in the cache, beside the place of the file there, wherever the file was found.
"""

import json
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True)
class FirstSeen:
    """Content of a file when it was first seen."""

    sha256: str
    source: str
    """Address or path of the file."""
    seen: str
    """Date and time, as in ISO 8601."""


def record_path(path: Path) -> Path:
    """Return the path of the record that belongs to a path in the cache."""
    return path.with_name(f"{path.name}.first-seen.json")


def read(record: Path) -> FirstSeen | None:
    """Read a record; None if there is none.

    Raises:
        ValueError: If the record is damaged.
        OSError: If the record cannot be read.
    """
    try:
        return FirstSeen(**json.loads(record.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError) as error:
        raise ValueError(f"the record {record} of the content first seen is damaged; delete it") from error


def write(record: Path, sha256: str, source: str) -> None:
    """Write a record, with the present time. A cache that cannot be written gets none."""
    first = FirstSeen(sha256, source, datetime.now(UTC).isoformat(timespec="seconds"))
    with suppress(OSError):
        record.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=record.parent, delete=False, encoding="utf-8") as incoming:
            json.dump(asdict(first), incoming, indent=2)
        Path(incoming.name).replace(record)
