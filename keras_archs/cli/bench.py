"""`keras-archs bench`: latency, throughput and errors of a running gateway under load."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from keras_archs.cli.bench_loads import parse_clients, parse_rates
from keras_archs.cli.bench_results import cells, notes
from keras_archs.cli.duration import parse_duration
from keras_archs.cli.output import JsonOption, working, write_json, write_table
from keras_archs.cli.plot_option import PlotOption, check_plot, save_plot
from keras_archs.cli.server_options import KeyOption

if TYPE_CHECKING:
    from keras_archs.loadtest.recorder import Figures, Recorder
    from keras_archs.loadtest.run import Plan

_INTERRUPTED = 130


def bench(
    url: Annotated[str, typer.Option(metavar="URL", help="Where the gateway is, such as http://127.0.0.1:8000.")],
    model: Annotated[str, typer.Option(metavar="NAME", help="Name of the model, as published.")],
    key: KeyOption = None,
    concurrency: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            show_default="1..16",
            help="Closed loop: numbers of clients, each of which sends its next request after an answer. A list 1,4,16 "
            "or a range 1..64, in which each number is twice the one before.",
        ),
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Open loop: requests per second, sent whether or not earlier requests were answered. A list or a "
            "range, as for --concurrency.",
        ),
    ] = None,
    arrivals: Annotated[
        Literal["poisson", "constant"],
        typer.Option(
            help="When the requests of an open loop are sent: as by independent users, or at equal intervals."
        ),
    ] = "poisson",
    duration: Annotated[
        float, typer.Option(parser=parse_duration, metavar="DURATION", help="Length of each load, e.g. 30s or 2m.")
    ] = "10s",  # type: ignore[assignment]  # the parser's argument
    warm_up: Annotated[
        float, typer.Option(parser=parse_duration, metavar="DURATION", help="Load before the first, not recorded.")
    ] = "2s",  # type: ignore[assignment]
    timeout: Annotated[
        float,
        typer.Option(
            min=0.001,
            metavar="SECONDS",
            help="Time after which a request has failed. With --protocol rest, the gateway is told this deadline.",
        ),
    ] = 30.0,
    photos: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            metavar="FOLDER",
            show_default="one painted picture of 450 x 300 pixels",
            help="Photographs to send in turn.",
        ),
    ] = None,
    protocol: Annotated[
        Literal["rest", "v1", "v2"],
        typer.Option(
            help="How to ask: the gateway's own REST API, that of TensorFlow Serving (v1), or the Open Inference "
            "Protocol over HTTP (v2)."
        ),
    ] = "rest",
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a running gateway: answers per second, latencies, errors, and the phases that the gateway reports.

    With --rate, latencies count from the moment at which a request was to be sent, so that a pause of the server counts
    for all requests that it delays. Ctrl-C prints what has been measured so far. Measure from another machine where you
    can; a note says when the client was too slow.
    """
    if concurrency is not None and rate is not None:
        raise ValueError("--concurrency is a closed loop, --rate an open one: give one of them")
    check_plot(plot)
    clients = parse_clients(concurrency or "1..16") if rate is None else []
    rates = parse_rates(rate) if rate is not None else []

    # imported here, because they need the extra `client`
    from keras_archs.client.gateway import check_key, check_url
    from keras_archs.loadtest.photos import painted_photograph, photographs
    from keras_archs.loadtest.requests import PROTOCOLS
    from keras_archs.loadtest.run import Plan

    check_url(url)
    check_key(key)
    pictures = photographs(photos) if photos else [painted_photograph()]
    plan = Plan(
        url=url,
        requests=[PROTOCOLS[protocol](model, picture, timeout) for picture in pictures],
        clients=clients,
        rates=rates,
        arrivals=arrivals,
        seconds=duration,
        warm_up_seconds=warm_up,
        timeout=timeout,
        key=key,
    )
    measured, is_interrupted = _measure(plan, f"Measuring {model} at {url}")
    if plot and measured:
        from keras_archs.loadtest.plot import plot_latency

        title = f"{model} at {url}"
        save_plot(plot, plot_latency(measured, title), title, *cells(measured))
    if as_json:
        about = {"url": url, "model": model, "protocol": protocol, "photographs": len(pictures)}
        write_json({**about, "interrupted": is_interrupted, "loads": [asdict(figures) for figures in measured]})
    elif measured:
        headings, rows = cells(measured)
        write_table(headings, rows, right=headings)
    for note in notes(measured):
        typer.echo(note, err=True)
    if is_interrupted:
        raise typer.Exit(_INTERRUPTED)


def _measure(plan: Plan, activity: str) -> tuple[Sequence[Figures], bool]:
    """Return the figures of each load that has begun, and whether Ctrl-C ended the measurement."""
    from keras_archs.loadtest.run import measure

    recorders: list[Recorder] = []
    is_interrupted = False
    try:
        with working(activity):
            asyncio.run(measure(plan, recorders.append))
    except KeyboardInterrupt:
        is_interrupted = True
    return [recorder.figures() for recorder in recorders if not recorder.is_empty], is_interrupted
