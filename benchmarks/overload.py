"""Goodput of the gateway at and above its capacity, and what greedy and slow clients do to the others.

    python -m benchmarks.overload --model efficientnet-lite0

`goodput` is the number of good answers a second: status 200 and, where the client set a deadline, in time. `kept` is
the goodput divided by that at the capacity with the same deadline: 1 would mean that excess load costs nothing. The
column is empty if `--times` is without 1. The load comes from a process on the same machine, which takes processor time
from the gateway. So `of control` compares with a load that costs the same to send: the gateway at its capacity, while
all that exceeds the capacity goes to another server, which does nothing but refuse.

The speed of a shared machine changes from one second to the next. So each round measures the capacity anew and all
loads for a short time, the next round in the opposite order, and ratios are those of the sums over all rounds.

Greedy and slow clients have loopback addresses of their own, as callers without keys are told apart by address. Slow
clients, too, take processor time; so they are also connected to another server, which lets them wait.
"""

from __future__ import annotations

import functools
import multiprocessing
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import psutil
import typer

from benchmarks.closed_loop import TIMEOUT_SECONDS, http_request, in_process, load_gateway
from benchmarks.common import machine, picture, show, write_json
from benchmarks.gateway import publish_by_name, read_assignments, running
from benchmarks.open_loop import WARM_UP_SECONDS, Outcome, open_loop, percentile_ms
from benchmarks.refusing_server import refusing_server
from benchmarks.slow_clients import slow_clients

MODEST = 0.25
"""Load of a client beside others, as a multiple of the capacity."""
BESIDE_SECONDS = 24
"""Length of a load beside others: slow clients meet limits on time after 10 and 20 s, and p99 needs many requests."""
CLIENTS = 8
"""Clients of the closed loop that measures the capacity."""


@dataclass(frozen=True)
class Row:
    """One load: rates per second, times in ms.

    Attributes:
        deadline: Seconds that clients give the gateway; None for no deadline of their own.
        times: Load as a multiple of the capacity.
        sent: Requests sent.
        goodput: Good answers.
        accepted_p50: Median latency of answers with status 200.
        accepted_p99: 99th percentile of the latency of answers with status 200.
        refused_p50: Median latency of refusals.
        refused_p99: 99th percentile of the latency of refusals.
        control: Good answers at the capacity, while the excess goes to a server that refuses everything.
        cpu: Processor time of the gateway per second.
        statuses: Number of answers by status.
    """

    deadline: float | None
    times: float
    sent: float
    goodput: float
    accepted_p50: float
    accepted_p99: float
    refused_p50: float
    refused_p99: float
    control: float | None
    cpu: float
    statuses: dict[int, int]


@dataclass(frozen=True)
class Beside:
    """A modest load beside other clients: the share of its requests that got status 200, and their latency in ms."""

    others: str
    answered: float
    p50: float
    p99: float


def main(
    assignments: Annotated[
        list[str] | None, typer.Argument(metavar="[SETTING=VALUE]...", help="Settings of the gateway.")
    ] = None,
    model: Annotated[str, typer.Option(help="A model of the registry.")] = "efficientnet-lite0",
    repository: Annotated[Path | None, typer.Option(help="Repository in which the model is published already.")] = None,
    times: Annotated[str, typer.Option(help="Loads as multiples of the capacity, comma-separated.")] = "1,1.5,3",
    deadline: Annotated[float, typer.Option(min=0.01, help="Short deadline of clients, in seconds.")] = 0.3,
    seconds: Annotated[float, typer.Option(min=1, max=120, help="Length of each load of --times.")] = 4,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; medians of the loads, and ratios of their sums.")] = 6,
    slow: Annotated[int, typer.Option(min=0, help="Number of slow clients; 0 for no such measurement.")] = 1000,
    json: Annotated[Path | None, typer.Option(help="Also write the figures to this file, as JSON.")] = None,
) -> None:
    """Measure goodput, latency and refusals at several loads."""
    about = machine()
    loads = [(limit, float(multiple)) for limit in (None, deadline) for multiple in times.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        values: dict[str, Any] = {
            "repository": str(repository or in_process(publish_by_name, model, Path(folder, "models"))),
            "preload": model,
            "port": "0",
            "log_level": "error",
            **read_assignments(assignments or []),
        }
        with running(values) as gateway, refusing_server() as refuser:
            path, image = f"/classify/{model}", picture()
            capacities, rows = [], []
            for number in range(rounds):
                capacity = in_process(
                    load_gateway, gateway.port, gateway.process.pid, path, image, clients=CLIENTS, seconds=seconds
                ).rate
                capacities.append(capacity)
                rows += [
                    measure(gateway.port, gateway.process, refuser, path, image, capacity, limit, multiple, seconds)
                    for limit, multiple in (loads if number % 2 == 0 else reversed(loads))
                ]
            capacity = median(capacities)
            print(f"{model}: capacity {capacity:.0f} requests/s; {about['cpu']}, load before: {about['load_before']}")
            beside = measure_beside(gateway.port, refuser, path, image, capacity, slow, rounds)
    by_load = {load: [row for row in rows if (row.deadline, row.times) == load] for load in loads}
    show_rows(by_load)
    show_beside(beside)
    figures = {"model": model, "capacity": capacity, **about}
    write_json(json, figures | {"rows": [asdict(row) for row in rows], "beside": [asdict(row) for row in beside]})


def measure(
    port: int,
    process: psutil.Process,
    refuser: int,
    path: str,
    image: bytes,
    capacity: float,
    deadline: float | None,
    times: float,
    seconds: float,
) -> Row:
    """Send one load and sum up what came back."""
    request = http_request(path if deadline is None else f"{path}?timeout={deadline:g}", image)
    load = functools.partial(open_loop, request=request, seconds=seconds)
    control = None
    if times > 1:
        at_capacity = functools.partial(load, port, rate=capacity)
        excess = functools.partial(load, refuser, rate=(times - 1) * capacity)
        control = together(at_capacity, excess)[0].goodput(deadline)
    before = process.cpu_times()
    (sent,) = together(functools.partial(load, port, rate=times * capacity))
    after = process.cpu_times()
    outcomes = sent.measured
    accepted = [outcome for outcome in outcomes if outcome.status == 200]
    refused = [outcome for outcome in outcomes if outcome.status in (429, 503)]
    return Row(
        deadline=deadline,
        times=times,
        sent=len(outcomes) / seconds,
        goodput=sent.goodput(deadline),
        accepted_p50=percentile_ms(accepted, 50),
        accepted_p99=percentile_ms(accepted, 99),
        refused_p50=percentile_ms(refused, 50),
        refused_p99=percentile_ms(refused, 99),
        control=control,
        cpu=(after.user + after.system - before.user - before.system) / (WARM_UP_SECONDS + seconds),
        statuses=dict(Counter(outcome.status for outcome in outcomes)),
    )


def measure_beside(
    port: int, other_port: int, path: str, image: bytes, capacity: float, slow: int, rounds: int
) -> list[Beside]:
    """Send a modest load alone, beside a greedy client, and beside slow clients; a row sums up all rounds."""
    request = http_request(path, image)
    load = functools.partial(open_loop, port, request, seconds=BESIDE_SECONDS)
    modest = functools.partial(load, rate=MODEST * capacity)
    greedy = functools.partial(load, rate=3 * capacity, address="127.0.0.2")
    idle = functools.partial(
        slow_clients, path=path, address="127.0.0.3", clients=slow, seconds=BESIDE_SECONDS + WARM_UP_SECONDS
    )
    loads: dict[str, tuple[Callable[[], Any], ...]] = {"alone": (modest,), "a greedy client": (modest, greedy)}
    if slow:
        loads |= {
            f"{slow} slow clients of another server": (modest, functools.partial(idle, other_port)),
            f"{slow} slow clients": (modest, functools.partial(idle, port)),
        }
    by_others: dict[str, list[Outcome]] = {others: [] for others in loads}
    for number in range(rounds):
        for others, calls in list(loads.items())[:: 1 if number % 2 == 0 else -1]:
            by_others[others] += together(*calls)[0].measured
    rows = []
    for others, outcomes in by_others.items():
        accepted = [outcome for outcome in outcomes if outcome.status == 200]
        share = len(accepted) / len(outcomes)
        rows.append(Beside(others, share, percentile_ms(accepted, 50), percentile_ms(accepted, 99)))
    return rows


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Run functions at the same time, each in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(len(calls)) as pool:
        return [result.get(TIMEOUT_SECONDS) for result in [pool.apply_async(call) for call in calls]]


def show_beside(rows: list[Beside]) -> None:
    """Print the modest load beside each kind of other clients."""
    show(
        f"a client that sends {MODEST:g} of the capacity; times in ms",
        ("beside", "answered", "p50", "p99"),
        ((row.others, f"{row.answered:.3f}", f"{row.p50:.1f}", f"{row.p99:.1f}") for row in rows),
    )


def show_rows(by_load: dict[tuple[float | None, float], list[Row]]) -> None:
    """Print the medians of each load."""
    lines = []
    for (deadline, times), rows in by_load.items():
        goodput = sum(row.goodput for row in rows)
        at_capacity = sum(row.goodput for row in by_load.get((deadline, 1.0), []))
        control = sum(row.control or 0.0 for row in rows)
        statuses = sum((Counter(row.statuses) for row in rows), Counter[int]())
        lines.append(
            (
                f"{times:g}x" + (f", {deadline:g} s" if deadline else ""),
                *(f"{median(getattr(row, name) for row in rows):.0f}" for name in ("sent", "goodput")),
                *(f"{goodput / other:.2f}" if other else "" for other in (at_capacity, control)),
                *(
                    f"{median(getattr(row, name) for row in rows):.1f}"
                    for name in ("accepted_p50", "accepted_p99", "refused_p50", "refused_p99")
                ),
                " ".join(f"{status}:{number}" for status, number in sorted(statuses.items())),
            )
        )
    show(
        "open loop, one JPEG a request; times in ms",
        ("load", "sent /s", "goodput /s", "kept", "of control", "200 p50", "200 p99", "503 p50", "503 p99", "statuses"),
        lines,
    )


if __name__ == "__main__":
    typer.run(main)
