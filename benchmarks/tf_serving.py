"""What the gateway adds to TensorFlow Serving: time, memory, and how soon it is ready.

python -m benchmarks.tf_serving --pairs 300

The server is the tests' stand-in, which TensorFlow's own speed does not make fast; what is measured is the difference
between asking it directly over gRPC, with the image's pixels, and asking the gateway over HTTP, with the JPEG. The
model averages its input and does next to nothing else, so that the difference is not lost in the inference.
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
from keras_archs.images.preprocessing import Preprocessing, load_image
from serving.engines.tf_serving.messages import predict_request
from serving.engines.tf_serving.protos import PredictRequest, PredictResponse
from tests.support.backend import running_backend

MODEL = "averages"
PREPROCESSING = Preprocessing(size=(224, 224), mean=(0, 0, 0), std=(255, 255, 255))
LOADING_SECONDS = 60
WARM_UP = 20


@dataclass(frozen=True)
class Figures:
    """What was measured; times in ms. `decoding` is what the gateway says it took to make pixels of the JPEG."""

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
    pairs: Annotated[int, typer.Option(min=10, help="Requests of each kind.")] = 300,
    json: Annotated[Path | None, typer.Option(help="File to write the figures to as well.")] = None,
) -> None:
    """Measures the gateway against its own server, one request at a time."""
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
    """Starts server and gateway, and asks both by turns."""
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
        posted = http_request(f"/classify/{MODEL}", image)
        decoding: list[float] = []
        direct, through = by_turns(
            lambda: predict(predict_request(MODEL, 1, pixels)),
            lambda: decoding.append(exchange(connection, posted)["decode"]),
            pairs,
        )
        return Figures(
            ready_seconds=gateway.seconds_to_ready,
            resident_mb=gateway.resident_mb(),
            tensorflow=gateway.has_tensorflow(),
            direct=median(direct),
            direct_p90=quantiles(direct, n=10)[-1],
            gateway=median(through),
            gateway_p90=quantiles(through, n=10)[-1],
            decoding=median(decoding),
            added=median(through) - median(direct),
        )


def publish_averages(repository: Path) -> None:
    """Publishes a model whose inference takes no time to speak of. For a process of its own."""
    import keras

    from keras_archs.export.publish import export_model

    inputs = keras.Input((*PREPROCESSING.size, PREPROCESSING.channels))
    outputs = keras.layers.Dense(1000, activation="softmax")(keras.layers.GlobalAveragePooling2D()(inputs))
    model = keras.Model(inputs, outputs)
    export_model(model, repository, name=MODEL, preprocessing=PREPROCESSING, allow_untrained=True)


def wait_until_loaded(predict: Callable[..., Any], request: PredictRequest) -> None:
    """Returns when the server answers; ends the program if it does not."""
    deadline = time.monotonic() + LOADING_SECONDS
    while True:
        try:
            predict(request, timeout=LOADING_SECONDS, wait_for_ready=True)
            return
        except grpc.RpcError as error:
            if time.monotonic() > deadline:
                raise SystemExit(f"the server does not answer: {error}") from None
            time.sleep(0.1)


def by_turns(one: Callable[[], object], other: Callable[[], object], times: int) -> tuple[list[float], list[float]]:
    """Milliseconds per call of each, one after the other, so that a busy machine slows both.

    No call follows one of its own kind: a server that has answered a moment ago is faster, which would be the direct
    calls' advantage, as between the gateway's calls there are the next image's decoding and HTTP.
    """
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(times + WARM_UP):
        for call, durations in zip((one, other), taken, strict=True):
            begun = time.perf_counter()
            call()
            durations.append(1000 * (time.perf_counter() - begun))
    return taken[0][WARM_UP:], taken[1][WARM_UP:]


if __name__ == "__main__":
    typer.run(main)
