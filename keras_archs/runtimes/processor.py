"""The processor: which one it is, and how long this process waited for it."""

from __future__ import annotations

import platform
from pathlib import Path

_ROOT = Path("/")
_NUMBERS = ("cpu family", "model", "stepping")


def processor_name(root: Path = _ROOT) -> str:
    """Return the name of the processor; on Linux with its family, model and stepping, where it has them.

    Virtual machines give processors of several generations the same name.

    Args:
        root: Folder that contains `proc`.
    """
    try:
        first, _, _ = (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace").partition("\n\n")
    except OSError:  # another system than Linux
        first = ""
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}
    name = fields.get("model name")
    if not name:
        return platform.processor() or platform.machine()
    numbers = [f"{number.removeprefix('cpu ')} {fields[number]}" for number in _NUMBERS if number in fields]
    return f"{name} ({', '.join(numbers)})" if numbers else name


def seconds_waited(root: Path = _ROOT) -> float | None:
    """Return how long the threads of this process were ready to compute while other programs used the cores.

    Args:
        root: Folder that contains `proc`.

    Returns:
        The seconds of all living threads together, since each began; None where the system does not tell.
    """
    waited: list[int] = []
    for path in (root / "proc/self/task").glob("*/schedstat"):
        try:
            _, nanoseconds, _ = path.read_text(encoding="ascii").split()
            waited.append(int(nanoseconds))
        except (OSError, ValueError):  # the thread has ended, or the kernel keeps no account
            continue
    return sum(waited) / 1e9 if waited else None
