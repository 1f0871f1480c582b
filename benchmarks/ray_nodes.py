"""`keras-archs predict --ray` on two nodes of one core each, against one node, and with a node that is killed.

    python -m benchmarks.ray_nodes --images 4000

The nodes are processes on this machine, each bound to a core of its own; the head node and the command share these
cores. A rate is that of the shards between the first and the last one that comes back, without the start of the
cluster and the loading of the model.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import psutil
import pyarrow.parquet as pq
import typer

from benchmarks.batch_trial import make
from benchmarks.closed_loop import in_process
from benchmarks.common import machine, show, write_json
from benchmarks.gateway import publish_by_name
from keras_archs.batch.ray_cluster import connected, results
from keras_archs.batch.run import Run
from keras_archs.batch.sources import open_source
from keras_archs.batch.work import Work
from keras_archs.repository.artifact import CONVERSION_CACHE
from tests.support.ray_nodes import RayNodes, running_ray_nodes

SHARD_IMAGES = 50


@dataclass(frozen=True)
class Measured:
    """A run on a cluster."""

    rate: float
    """Images per second, from the first shard that came back to the last."""
    seconds: float
    """From the connection to the finished table."""
    computed: int
    """Images of shards that were computed."""
    table: Path


def main(
    model: Annotated[str, typer.Option(help="A model of the registry.")] = "efficientnet-lite0",
    images: Annotated[int, typer.Option(min=1000, help="Number of photographs.")] = 4000,
    json: Annotated[Path | None, typer.Option(help="Also write the figures to this file, as JSON.")] = None,
) -> None:
    """Measure one node, two nodes, and two nodes of which one is killed in the middle."""
    about = machine()
    cores = psutil.Process().cpu_affinity()[:2]
    if len(cores) < 2:
        raise ValueError("this machine has one core; two nodes need two")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        version_dir = in_process(publish_by_name, model, folder / "models") / model / "1"
        work = Work(version_dir, folder / "models" / CONVERSION_CACHE)
        photographs = folder / "photographs"
        make(photographs, images, corrupt=images // 200)
        one = measure(work, photographs, folder / "one.parquet", cores[:1])
        two = measure(work, photographs, folder / "two.parquet", cores)
        lost = measure(work, photographs, folder / "lost.parquet", cores, kill_after=images // 2)
        same = len({sha256(run.table.read_bytes()).digest() for run in (one, two, lost)}) == 1
        paths = pq.read_table(lost.table, columns=["path"])["path"].to_pylist()
    print(f"{model}; {about['cpu']}, {about['cores']} cores, load before: {about['load_before']}")
    show(
        f"{images:,} photographs",
        ("", "images/s", "seconds", "computed"),
        (
            (name, f"{run.rate:.0f}", f"{run.seconds:.0f}", f"{run.computed:,}")
            for name, run in (("one node", one), ("two nodes", two), ("one of two nodes killed", lost))
        ),
    )
    print(f"two nodes against one: {two.rate / one.rate:.2f} times the rate")
    print(
        f"a node killed: {len(paths):,} rows, {len(set(paths)):,} different paths; the three tables are "
        f"{'the same' if same else 'DIFFERENT'}, byte for byte"
    )
    figures = {name: run.rate for name, run in (("one", one), ("two", two))}
    write_json(json, {"model": model, **about, **figures, "rows": len(paths), "same": same})


def measure(work: Work, photographs: Path, out: Path, cores: Sequence[int], kill_after: int | None = None) -> Measured:
    """Run a cluster with a node per core, and compute the table on it.

    Args:
        work: What to compute.
        photographs: Folder of the images.
        out: The table.
        cores: Cores of this machine.
        kill_after: Number of images after which a node is killed; None for never.
    """
    source = open_source([str(photographs)], shard_images=SHARD_IMAGES)
    times: list[float] = []
    counts: list[int] = []
    computed = 0
    with running_ray_nodes(cores) as nodes, Run.open(out, work, source) as run:
        kill = killing(nodes, kill_after)
        began = time.monotonic()
        with connected("auto"):
            for result in results(run, work, "auto", threads=1):
                times.append(time.monotonic())
                counts.append(result.summary.images)
                computed += result.summary.images if result.is_new else 0
                kill(sum(counts))
        run.finish()
        seconds = time.monotonic() - began
    return Measured(sum(counts[1:]) / (times[-1] - times[0]), seconds, computed, out)


def killing(nodes: RayNodes, after: int | None) -> Callable[[int], None]:
    """Return a function that kills a node once, when it is told that so many images are done."""
    left = [] if after is None else [after]

    def kill(done: int) -> None:
        if left and done >= left[0]:
            left.clear()
            nodes.kill_a_node()

    return kill


if __name__ == "__main__":
    typer.run(main)
