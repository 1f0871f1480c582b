"""The gateway against LitServe and BentoML, on the same model, photographs and processor, in turns.

    make .venv-peers/ready
    python -m benchmarks.peers --seconds 8 --rounds 3 --json peers.json

Each peer runs with the best of several settings, which are tried first. Then the servers take turns; a turn is a fresh
start, closed loops with each number of clients, and open loops at half of the throughput that this server has just
reached and at three times of it. In the open loops a client gives up after `--deadline`, and closes its connection.
Each server is told so by its own means: the gateway by the client's `timeout`, LitServe by the time that a request may
wait in its queue, BentoML by the number of requests that it takes at a time.
"""

from __future__ import annotations

import http.client
import json as json_format
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import psutil
import typer

from benchmarks.closed_loop import in_process
from benchmarks.common import machine, show, write_json
from benchmarks.gateway import publish_by_name
from benchmarks.peers import contenders, load
from benchmarks.peers.contenders import Contender
from benchmarks.peers.material import photographs, prepare_for_peers
from keras_archs.runtimes.machine import usable_cores
from keras_archs.runtimes.runtime import FloatArithmetic

WARM_UP_SECONDS = 1.0
TUNING_CLIENTS = 8
HALF, OVERLOAD = 0.5, 3.0


Figures = dict[str, float]
"""Measurements of one server in one turn, or their medians over the turns, by what is measured."""

LESS_IS_BETTER = ("p50", "p99", "CPU", "memory")
"""First words of the figures of which the smaller is better; of the answers and the goodput, the larger is."""
NEITHER = ("accepted", "refused", "requests", "client")
"""First words of the figures that explain the others."""


def main(
    model: Annotated[str, typer.Option(help="A model of the registry.")] = "efficientnet-lite0",
    python: Annotated[Path, typer.Option(help="Interpreter of the peers' environment.")] = Path(
        ".venv-peers/bin/python"
    ),
    precision: Annotated[FloatArithmetic, typer.Option(help="Arithmetic of all three.")] = "f32",
    clients: Annotated[str, typer.Option(help="Numbers of concurrent clients, comma-separated.")] = "1,8,32",
    seconds: Annotated[float, typer.Option(min=1, max=120, help="Length of each load.")] = 6,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each server.")] = 3,
    deadline: Annotated[float, typer.Option(min=0.05, help="Seconds that a client of the open loops waits.")] = 1,
    rate: Annotated[
        float | None,
        typer.Option(min=1, help="Requests/s at half of capacity, for all; by default half of what each has reached."),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Also write the figures to this file, as JSON.")] = None,
) -> None:
    """Compare the gateway with other model servers."""
    about, counts = machine(), [int(count) for count in clients.split(",")]
    python = python.absolute()  # not resolved: the link's place is what makes it the environment's interpreter
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        repository = in_process(publish_by_name, model, folder / "models")
        in_process(prepare_for_peers, repository / model, folder)
        images = photographs()

        def best(choices: list[Contender]) -> Contender:
            return tune(choices, lambda contender: quick_rate(contender, python, folder / "log", images, seconds))

        cores = usable_cores()
        print(f"{model}, {precision}; {about['cpu']}, {cores} cores, load before: {about['load_before']}\n")
        entered = [
            contenders.gateway(repository, model, precision, deadline),
            best(contenders.litserve(folder, precision, cores)),
            best(contenders.bentoml(folder, precision, cores)),
        ]
        turns: dict[str, list[Figures]] = {contender.name: [] for contender in entered}
        answers = []
        for _ in range(rounds):
            for contender in entered:
                with contenders.running(contender, python, folder / "log") as (port, process):
                    answers.append([answer(port, contender, image) for image in images])
                    turns[contender.name].append(
                        measure(contender, port, process, images, counts, seconds, deadline, rate)
                    )
    for other in answers[1:]:
        check_equal(answers[0], other)
    print(f"\nall answered alike: {', '.join(best[0]['label'] for best in answers[0])}\n")
    medians = {name: medians_of(measured) for name, measured in turns.items()}
    show_figures(medians)
    chosen = {contender.name: contender.settings for contender in entered}
    about |= {
        "model": model,
        "precision": precision,
        "seconds": seconds,
        "rounds": rounds,
        "deadline": deadline,
        "settings": chosen,
    }
    write_json(json, about | {"medians": medians, "turns": turns})


def tune(choices: list[Contender], rate: Callable[[Contender], float]) -> Contender:
    """Return the choice with the largest throughput, and print what each reached."""
    reached = [rate(choice) for choice in choices]
    best = max(range(len(choices)), key=reached.__getitem__)
    rows = [
        (choice.settings, f"{answers:.0f}", "chosen" if number == best else "")
        for number, (choice, answers) in enumerate(zip(choices, reached, strict=True))
    ]
    show(f"{choices[0].name}, {TUNING_CLIENTS} clients", ("settings", "answers/s", ""), rows)
    return choices[best]


def quick_rate(contender: Contender, python: Path, log: Path, images: list[bytes], seconds: float) -> float:
    """Measure the throughput of a server that is started for it."""
    with contenders.running(contender, python, log) as (port, process):
        target = load.Target(port, process.pid, tuple(contender.request(image) for image in images))
        in_process(load.closed_loop, target, clients=TUNING_CLIENTS, seconds=WARM_UP_SECONDS)
        return in_process(load.closed_loop, target, clients=TUNING_CLIENTS, seconds=seconds).rate


def measure(
    contender: Contender,
    port: int,
    process: psutil.Process,
    images: list[bytes],
    counts: list[int],
    seconds: float,
    deadline: float,
    rate: float | None,
) -> Figures:
    """Measure all loads on a running server.

    The processor time is that of all of the server's processes with the middle number of clients, and their memory is
    taken after the loads.
    """
    target = load.Target(port, process.pid, tuple(contender.request(image) for image in images))
    in_process(load.closed_loop, target, clients=max(counts), seconds=WARM_UP_SECONDS)
    closed = {count: in_process(load.closed_loop, target, clients=count, seconds=seconds) for count in counts}
    capacity = max(outcome.rate for outcome in closed.values())
    half, overload = (
        in_process(load.open_loop, target, rate=requests, seconds=seconds, deadline=deadline)
        for requests in (rate or HALF * capacity, OVERLOAD * capacity)
    )
    by_name = {f"{count} clients": outcome for count, outcome in closed.items()}
    for name, outcome in {**by_name, "half of capacity": half}.items():
        if missing := len(outcome.statuses) - len(outcome.answered):
            print(f"{contender.name}: {missing} of {len(outcome.statuses)} requests were not answered, load: {name}")
    middle = closed[counts[len(counts) // 2]]
    return {
        **{f"answers/s, clients: {count}": outcome.rate for count, outcome in closed.items()},
        "goodput/s at 3 times capacity": overload.rate,
        "p50 ms at half of capacity": 1000 * load.percentile(half.latencies, 0.5),
        "p99 ms at half of capacity": 1000 * load.percentile(half.latencies, 0.99),
        "CPU ms per answer": 1000 * middle.server_cpu / len(middle.answered),
        "memory MB": contenders.memory_mb(process),
        "accepted p99 ms at 3 times capacity": 1000 * load.percentile(overload.answered, 0.99),
        "refused p50 ms at 3 times capacity": 1000 * load.percentile(overload.refused, 0.5),
        "requests/s at half of capacity": len(half.statuses) / seconds,
        "requests/s at 3 times capacity": len(overload.statuses) / seconds,
        "client CPU / server CPU": middle.client_cpu / middle.server_cpu,
    }


def answer(port: int, contender: Contender, image: bytes) -> list[dict[str, Any]]:
    """Return the top five classes of a photograph."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(contender.request(image))
        response = http.client.HTTPResponse(connection)
        response.begin()
        body = response.read()
    if response.status != load.ANSWERED:
        raise SystemExit(f"{contender.name} answered {response.status}: {body.decode(errors='replace')[:500]}")
    content = json_format.loads(body)
    (classes,) = (content[0] if contender.form_field else content)["images"]  # a batch of one is a list
    return list(classes)


def check_equal(expected: list[list[dict[str, Any]]], received: list[list[dict[str, Any]]]) -> None:
    """End the comparison if two servers classify a photograph differently; classes of one score have no order."""
    for mine, other in zip(expected, received, strict=True):
        last = min(found["score"] for found in mine)
        above, others = ({found["index"] for found in classes if found["score"] > last} for classes in (mine, other))
        same_scores = np.allclose([found["score"] for found in mine], [found["score"] for found in other], atol=1e-4)
        if above != others or not same_scores:
            raise SystemExit(f"the servers classify differently: {mine} and {other}")


def medians_of(turns: list[Figures]) -> Figures:
    """Return the median of each figure."""
    return {name: median(turn[name] for turn in turns) for name in turns[0]}


def show_figures(figures: dict[str, Figures]) -> None:
    """Print the figures of all servers, and how many times better the first server is than each of the others."""
    first, *peers = figures

    def times_better(name: str, peer: str) -> str:
        if name.startswith(NEITHER):
            return ""
        mine, other = figures[first][name], figures[peer][name]
        return f"{other / mine if name.startswith(LESS_IS_BETTER) else mine / other:.2f}"

    rows = [
        (name, *(f"{of[name]:.3g}" for of in figures.values()), *(times_better(name, peer) for peer in peers))
        for name in figures[first]
    ]
    columns = ("medians", *figures, *(f"vs {peer}" for peer in peers))
    show(f"vs: how many times better the {first} is", columns, rows)


if __name__ == "__main__":
    typer.run(main)
