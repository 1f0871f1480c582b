"""Latency, memory and start-up time that the gateway adds in front of TensorFlow Serving.

    python -m benchmarks.tf_serving --pairs 300

Compared are direct requests to the server over gRPC, with the image's pixels, and requests to the gateway over HTTP,
with the JPEG. Read only the difference of the medians: the server is the tests' stand-in for TensorFlow Serving, whose
own latency is not representative, and the model only averages its input, so that inference adds little noise.
"""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Annotated, Any

import grpc
import numpy as np
import typer

from benchmarks.closed_loop import exchange, http_request, in_process
from benchmarks.common import machine, picture, show, write_json
from benchmarks.gateway import running
from keras_archs.images.decoding import load_image
from keras_archs.images.preprocessing import Preprocessing
from serving.engines.tf_serving.messages import predict_request
from serving.engines.tf_serving.protos import PredictRequest, PredictResponse
from tests.support.backend import running_backend

MODEL = "averages"
PREPROCESSING = Preprocessing(size=(224, 224), mean=(0, 0, 0), std=(255, 255, 255))
LOADING_SECONDS = 60
WARM_UP = 20
"""First calls of each kind, not timed."""


@dataclass(frozen=True)
class Figures:
    """Measurements, times in ms; `decoding` is the gateway's own report of the time to decode and resize the JPEG."""

    ready_seconds: float
    resident_mb: float
    tensorflow: bool
    direct: float
    direct_p90: float
    gateway: float
    gateway_p90: float
    decoding: float
    added: float


def main(
    pairs: Annotated[int, typer.Option(min=10, help="Requests to the server and to the gateway, each.")] = 300,
    json: Annotated[Path | None, typer.Option(help="Also write the figures to this file, as JSON.")] = None,
) -> None:
    """Compare the gateway with its own backend, one request at a time."""
    about = machine()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), pairs)
    print(f"{about['cpu']}, {about['cores']} cores, load before: {about['load_before']}")
    print(
        f"ready after {figures.ready_seconds:.2f} s; {figures.resident_mb:.0f} MB resident; "
        f"libtensorflow is {'' if figures.tensorflow else 'not '}in the process"
    )
    show(
        "one image at a time",
        ("", "median ms", "p90 ms"),
        [
            ("the server, over gRPC", f"{figures.direct:.2f}", f"{figures.direct_p90:.2f}"),
            ("the gateway, over HTTP", f"{figures.gateway:.2f}", f"{figures.gateway_p90:.2f}"),
        ],
    )
    write_json(json, {"pairs": pairs, **about, **asdict(figures)})
    print(f"the gateway adds {figures.added:.2f} ms at the median, {figures.decoding:.2f} of it for the JPEG")


def measure(folder: Path, pairs: int) -> Figures:
    """Start server and gateway, and send requests to both in turns."""
    repository = folder / "models"
    in_process(publish_averages, repository)
    image = picture()
    flags = ("--model_name", MODEL, "--model_base_path", str(repository / MODEL))
    with ExitStack() as stack:
        backend = stack.enter_context(running_backend(folder / "log", *flags))
        channel = stack.enter_context(grpc.insecure_channel(backend.target))
        pixels = load_image(image, PREPROCESSING)[np.newaxis]
        predict = channel.unary_unary(
            "/tensorflow.serving.PredictionService/Predict",
            PredictRequest.SerializeToString,
            PredictResponse.FromString,
        )
        wait_until_loaded(predict, predict_request(MODEL, 1, pixels))
        gateway = stack.enter_context(
            running({"repository": str(repository), "engine": "tf-serving", "backend": backend.target, "port": "0"})
        )
        connection = stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=60))
        request = http_request(f"/classify/{MODEL}", image)
        decoding: list[float] = []
        direct, through_gateway = in_turns(
            lambda: predict(predict_request(MODEL, 1, pixels)),
            lambda: decoding.append(exchange(connection, request)["decode"]),
            pairs,
        )
        return Figures(
            ready_seconds=gateway.seconds_to_ready,
            resident_mb=gateway.resident_mb(),
            tensorflow=gateway.has_tensorflow(),
            direct=median(direct),
            direct_p90=quantiles(direct, n=10)[-1],
            gateway=median(through_gateway),
            gateway_p90=quantiles(through_gateway, n=10)[-1],
            decoding=median(decoding),
            added=median(through_gateway) - median(direct),
        )


def publish_averages(repository: Path) -> None:
    """Publish a model with negligible inference time; call it in a process of its own."""
    import keras

    from keras_archs.export.publish import export_model

    inputs = keras.Input((*PREPROCESSING.size, PREPROCESSING.channels))
    outputs = keras.layers.Dense(1000, activation="softmax")(keras.layers.GlobalAveragePooling2D()(inputs))
    model = keras.Model(inputs, outputs)
    export_model(model, repository, name=MODEL, preprocessing=PREPROCESSING, allow_untrained=True)


def wait_until_loaded(predict: Callable[..., Any], request: PredictRequest) -> None:
    """Return when the server responds; end the program if it does not within `LOADING_SECONDS`."""
    deadline = time.monotonic() + LOADING_SECONDS
    while True:
        try:
            predict(request, timeout=LOADING_SECONDS, wait_for_ready=True)
            return
        except grpc.RpcError as error:
            if time.monotonic() > deadline:
                raise SystemExit(f"the server has not responded within {LOADING_SECONDS} s: {error}") from None
            time.sleep(0.1)


def in_turns(
    direct: Callable[[], object], through_gateway: Callable[[], object], times: int
) -> tuple[list[float], list[float]]:
    """Return the milliseconds of each call, after `WARM_UP` calls that are not timed.

    The two calls alternate, so that a busy machine slows both. Alternation is also fair: a server that has responded a
    moment ago is faster, and in a series of calls only the direct ones would profit, as the gateway decodes in between.
    """
    durations: tuple[list[float], list[float]] = ([], [])
    for _ in range(times + WARM_UP):
        for call, milliseconds in zip((direct, through_gateway), durations, strict=True):
            start = time.perf_counter()
            call()
            milliseconds.append(1000 * (time.perf_counter() - start))
    return durations[0][WARM_UP:], durations[1][WARM_UP:]


if __name__ == "__main__":
    typer.run(main)
