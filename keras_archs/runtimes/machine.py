"""What this process may use of its machine: cores and memory, within the limits of a container.

A container sees all cores and all memory of its host. Its limits are in the files of its control groups (`cgroups`),
which the kernel shows in two forms: version 2 has one tree, version 1 a tree for each kind of resource.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/")


def usable_cores(root: Path = _ROOT) -> int:
    """Return how many cores this process may use, at least 1: those of its affinity, within its share of time.

    Args:
        root: Folder that contains `proc` and `sys`.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    shares = [share for folder in _groups(root, "cpu") if (share := _share_of_time(folder)) is not None]
    # rounded up: with 1.5 cores' time, a second thread has half a core
    return max(1, min([cores, *(math.ceil(share) for share in shares)]))


def usable_memory(root: Path = _ROOT) -> int:
    """Return the bytes of memory that this process may use: the machine's, within the limits of its control groups.

    Args:
        root: Folder that contains `proc` and `sys`.
    """
    limits = [
        limit
        for folder in _groups(root, "memory")
        for name in ("memory.max", "memory.high", "memory.limit_in_bytes")
        if (limit := _number(folder / name)) is not None
    ]
    return min([_physical_memory(root), *limits])


def _physical_memory(root: Path) -> int:
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _share_of_time(folder: Path) -> float | None:
    """Return the cores' time per time that a control group may use; None for no limit."""
    for line in _lines(folder / "cpu.max"):  # version 2: "QUOTA PERIOD" or "max PERIOD", in microseconds
        quota, _, period = line.partition(" ")
        return _ratio(quota, period)
    return _ratio(_first_line(folder / "cpu.cfs_quota_us"), _first_line(folder / "cpu.cfs_period_us"))


def _ratio(quota: str, period: str) -> float | None:
    if not (quota.isdecimal() and period.isdecimal()):  # version 1 has -1 for no limit
        return None
    return int(quota) / int(period) if int(quota) > 0 and int(period) > 0 else None


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of this process's control group and of all groups around it: each may set a limit."""
    for line in _lines(root / "proc/self/cgroup"):
        hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller in controllers.split(","):
            top = root / "sys/fs/cgroup" / controllers
            top = top if top.is_dir() else root / "sys/fs/cgroup" / controller  # "cpu,cpuacct" may be linked as "cpu"
        elif hierarchy == "0" and not controllers:
            top = root / "sys/fs/cgroup"
        else:
            continue
        # in a container, the path may be the host's, and only the container's own group is mounted, as the top
        group = top / path.strip("/")
        while group != top:
            yield group
            group = group.parent
        yield top


def _number(path: Path) -> int | None:
    text = _first_line(path)
    return int(text) if text.isdecimal() else None  # version 2 has "max" for no limit


def _first_line(path: Path) -> str:
    return next(iter(_lines(path)), "")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # another system than Linux, another version of control groups, or a group that is not mounted
        return []
