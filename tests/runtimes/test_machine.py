"""Cores and memory are those of the container, read from made-up control groups."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from keras_archs.runtimes.machine import usable_cores, usable_memory

GIB = 2**30
HOST = {"proc/meminfo": f"MemTotal:       {16 * GIB // 1024} kB\nMemFree: 1 kB\n"}
V2 = {**HOST, "proc/self/cgroup": "0::/system.slice/docker-1.scope\n"}
V1 = {**HOST, "proc/self/cgroup": "7:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n2:cpuset:/docker/1\n0::/docker/1\n"}


def machine(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture(autouse=True)
def sixteen_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 16),  # no Linux
        (HOST, 16),
        ({**V2, "sys/fs/cgroup/system.slice/docker-1.scope/cpu.max": "200000 100000\n"}, 2),
        ({**V2, "sys/fs/cgroup/system.slice/docker-1.scope/cpu.max": "150000 100000\n"}, 2),
        ({**V2, "sys/fs/cgroup/system.slice/docker-1.scope/cpu.max": "5000 100000\n"}, 1),
        ({**V2, "sys/fs/cgroup/system.slice/docker-1.scope/cpu.max": "max 100000\n"}, 16),
        ({**V2, "sys/fs/cgroup/system.slice/cpu.max": "300000 100000\n"}, 3),  # set for a group around it
        ({**V2, "sys/fs/cgroup/cpu.max": "400000 100000\n"}, 4),  # inside a container without its own namespace
        ({**V2, "sys/fs/cgroup/cpu.max": "3200000 100000\n"}, 16),  # more than there are
        ({**V2, "sys/fs/cgroup/cpu.max": "nonsense\n"}, 16),
        ({**HOST, "proc/self/cgroup": "0::/../..\n", "sys/fs/cgroup/cpu.max": "100000 100000\n"}, 1),
        (
            {
                **V1,
                "sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us": "250000\n",
                "sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_period_us": "100000\n",
            },
            3,
        ),
        (
            {
                **V1,
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            1,
        ),
        (
            {
                **V1,
                "sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_period_us": "100000\n",
            },
            16,
        ),
    ],
)
def test_cores_are_those_of_the_container(tmp_path: Path, files: dict[str, str], cores: int) -> None:
    assert usable_cores(machine(tmp_path, files)) == cores


def test_cores_are_at_most_those_of_the_affinity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5}, raising=False)
    assert usable_cores(machine(tmp_path, {**V2, "sys/fs/cgroup/cpu.max": "400000 100000\n"})) == 2


@pytest.mark.parametrize(
    ("files", "memory"),
    [
        (HOST, 16 * GIB),
        ({**V2, "sys/fs/cgroup/system.slice/docker-1.scope/memory.max": f"{2 * GIB}\n"}, 2 * GIB),
        ({**V2, "sys/fs/cgroup/system.slice/docker-1.scope/memory.max": "max\n"}, 16 * GIB),
        ({**V2, "sys/fs/cgroup/system.slice/docker-1.scope/memory.high": f"{GIB}\n"}, GIB),
        ({**V2, "sys/fs/cgroup/system.slice/memory.max": f"{3 * GIB}\n"}, 3 * GIB),
        ({**V2, "sys/fs/cgroup/memory.max": f"{64 * GIB}\n"}, 16 * GIB),
        ({**V1, "sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": f"{GIB}\n"}, GIB),
        ({**V1, "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{4 * GIB}\n"}, 4 * GIB),
        ({**V1, "sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": "9223372036854771712\n"}, 16 * GIB),
    ],
)
def test_memory_is_that_of_the_container(tmp_path: Path, files: dict[str, str], memory: int) -> None:
    assert usable_memory(machine(tmp_path, files)) == memory


def test_this_machine_has_cores_and_memory() -> None:
    assert usable_cores() >= 1
    assert usable_memory() > 100e6
