"""Metrics of several processes: each counts for itself, and whichever is asked adds up."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PROCESSES = """
import asyncio, os, sys
from pathlib import Path
from prometheus_client.multiprocess import mark_process_dead
from tests.support.fake_app import IMAGE, running_app

folder = Path(sys.argv[1])

async def serve(name, requests, stay):
    async with running_app(folder / name) as client:
        for _ in range(requests):
            assert (await client.post("/classify/net", content=IMAGE)).is_success
        (folder / f"{name}.txt").write_text((await client.get("/metrics")).text)
        os.write(done, b".")
        if stay:
            await asyncio.to_thread(os.read, end, 1)

def start(name, requests, stay=False):
    process = os.fork()
    if process == 0:
        asyncio.run(serve(name, requests, stay))
        os._exit(0)
    assert os.read(is_done, 1)
    return process

def wait(process):
    assert os.waitpid(process, 0)[1] == 0
    mark_process_dead(process)

end, ends = os.pipe()
is_done, done = os.pipe()
first = start("first", 2, stay=True)
second = start("second", 3)
wait(second)
os.write(ends, b".")
wait(first)
wait(start("third", 1))
"""


def value(shown: str, metric: str) -> float:
    (found,) = re.findall(rf"^{re.escape(metric)} (.+)$", shown, re.MULTILINE)
    return float(found)


def test_counters_and_histograms_add_up_and_gauges_of_ended_processes_go(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    subprocess.run(
        [sys.executable, "-c", PROCESSES, str(tmp_path)],
        env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(files)},
        check=True,
        timeout=120,
    )
    first, second, third = ((tmp_path / f"{name}.txt").read_text() for name in ("first", "second", "third"))
    requests = 'keras_archs_requests_total{endpoint="classify",model="net",problem="",reason="",status="200"}'
    assert [value(shown, requests) for shown in (first, second, third)] == [2, 2 + 3, 2 + 3 + 1]
    assert [value(shown, "keras_archs_pending_limit") for shown in (first, second, third)] == [64, 2 * 64, 64]
    assert value(second, 'keras_archs_phase_seconds_count{model="net",phase="inference",version="7"}') == 2 + 3
    assert value(second, 'keras_archs_best_score_bucket{le="+Inf",model="net",version="7"}') == 2 + 3
    assert value(second, 'keras_archs_in_flight{model="net",version="7"}') == 0
    assert len(re.findall(r"^keras_archs_versions{", second, re.MULTILINE)) == 4, "one per state, not per process"
    assert "pid=" not in second
