"""One contract for all protocols, over every engine: the same scores, limits and errors, in whichever words."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from keras_archs import keys
from tests.serving.protocols.adapters import PROTOCOLS, Answer, Protocol, Request, rest
from tests.support.colours import MODEL
from tests.support.engines import ENGINES, running_engine
from tests.support.gateway import Gateway, running_gateway
from tests.support.images import encode
from tests.support.pictures import png
from tests.support.tf_serving_stack import eventually

MAX_BYTES = 1_000_000
MAX_IMAGES = 3
PICTURE = encode(np.full((40, 40, 3), (200, 100, 50), np.uint8), "PNG")
ONE_ENGINE = pytest.mark.parametrize("gateway", ENGINES[:1], indirect=True)
"""For what is decided before an engine is asked."""
INVALID = {422, 400}  # protocols that know no 422 say 400


@pytest.fixture(scope="module", params=ENGINES)
def gateway(
    request: pytest.FixtureRequest, colours_repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A ready gateway with one of the engines and low limits."""
    folder = tmp_path_factory.mktemp("gateway")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KERAS_ARCHS_MAX_BODY_MB", str(MAX_BYTES / 1e6))
        environment.setenv("KERAS_ARCHS_MAX_BODIES_MB", str(MAX_BYTES / 1e6))
        environment.setenv("KERAS_ARCHS_MAX_IMAGES", str(MAX_IMAGES))
        flags = ("--preload", MODEL, "--grpc-port", "0")
        with running_engine(request.param, colours_repository, folder, *flags) as running:
            yield running


@pytest.fixture(params=PROTOCOLS)
def ask(request: pytest.FixtureRequest) -> Protocol:
    return PROTOCOLS[request.param]


def check_refusal(answer: Answer, own: Answer, *statuses: int) -> None:
    """Check that a refusal has one of these statuses, and the text and the `Retry-After` of the gateway's own API."""
    assert answer.status in statuses
    assert (answer.error, answer.retry_after) == (own.error, own.retry_after)
    assert answer.error
    assert (answer.retry_after is not None) == (answer.status >= 503)


@pytest.mark.parametrize("selected", [{}, {"version": 1}, {"label": "stable"}])
def test_photographs_get_the_same_scores(
    gateway: Gateway, ask: Protocol, photographs: dict[str, bytes], selected: dict[str, str | int]
) -> None:
    request = Request([photographs["coffee"], photographs["chelsea"]], **selected)  # type: ignore[arg-type]
    answer, own = ask(gateway, request), rest(gateway, request)
    assert (answer.status, own.status) == (200, 200)
    assert len(answer.scores) == 2
    for scores, expected in zip(answer.scores, own.scores, strict=True):
        assert scores == pytest.approx(expected, abs=1e-6)


def test_the_newest_version_answers_unless_a_version_or_a_label_is_given(gateway: Gateway, ask: Protocol) -> None:
    def likeliest(**selected: str | int) -> str:
        (scores,) = ask(gateway, Request([PICTURE], **selected)).scores  # type: ignore[arg-type]
        return max(scores, key=scores.__getitem__)

    assert likeliest() == likeliest(version=2) == likeliest(label="canary") == "blue"
    assert likeliest(version=1) == likeliest(label="stable") == "red"


@pytest.mark.parametrize(
    "request_",
    [
        Request([PICTURE], model="efficientnet-b9"),
        Request([PICTURE], model="x" * 300),
        Request([PICTURE], version=7),
        Request([PICTURE], label="gold"),
    ],
    ids=["model", "long name", "version", "label"],
)
def test_what_is_not_published_is_not_found(gateway: Gateway, ask: Protocol, request_: Request) -> None:
    check_refusal(ask(gateway, request_), rest(gateway, request_), 404)


@ONE_ENGINE
@pytest.mark.parametrize("image", [b"no image", PICTURE[:-30], b""], ids=["text", "damaged", "empty"])
def test_what_is_no_whole_image_is_refused(gateway: Gateway, ask: Protocol, image: bytes) -> None:
    request = Request([PICTURE, image])
    check_refusal(ask(gateway, request), rest(gateway, request), 400)


@ONE_ENGINE
def test_an_image_with_too_many_pixels_is_refused_from_its_header(gateway: Gateway, ask: Protocol) -> None:
    request = Request([png(b"", (30_000, 30_000), bits=8, colour=2)])
    check_refusal(ask(gateway, request), rest(gateway, request), 413)


@ONE_ENGINE
def test_a_request_with_too_many_bytes_is_refused(gateway: Gateway, ask: Protocol) -> None:
    answer = ask(gateway, Request([PICTURE + bytes(MAX_BYTES)]))
    assert answer.status == 413
    assert str(MAX_BYTES) in answer.error


@ONE_ENGINE
def test_too_many_images_are_refused(gateway: Gateway, ask: Protocol) -> None:
    answer = ask(gateway, Request([PICTURE] * (MAX_IMAGES + 1)))
    assert answer.status in INVALID
    assert f"at most {MAX_IMAGES} images" in answer.error
    assert ask(gateway, Request([PICTURE] * MAX_IMAGES)).status == 200


def test_a_deadline_that_cannot_be_kept_is_told_with_the_time_to_try_again(gateway: Gateway, ask: Protocol) -> None:
    answer = ask(gateway, Request([PICTURE], timeout=1e-6))
    # whoever is sure to be too late is refused at once
    assert (answer.status, "no answer within 1e-06 s" in answer.error) == (504, True) or (
        (answer.status, "deadline of 1e-06 s" in answer.error) == (503, True)
    )
    assert answer.retry_after is not None


@ONE_ENGINE
def test_an_overloaded_gateway_refuses_with_the_time_to_try_again(gateway: Gateway, ask: Protocol) -> None:
    request = Request([PICTURE])
    with overloaded(gateway):
        check_refusal(ask(gateway, request), rest(gateway, request), 503)
    assert ask(gateway, request).status == 200


@contextmanager
def overloaded(gateway: Gateway) -> Iterator[None]:
    """Take all memory for bodies, with a request whose body does not arrive, until the `with` block ends."""
    head = f"POST /classify/{MODEL} HTTP/1.1\r\nHost: gateway\r\nContent-Length: {MAX_BYTES}\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection:
        connection.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")  # the gateway waits for the body
        yield
    eventually(lambda: rest(gateway, Request([PICTURE])), lambda answer: answer.status == 200)


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Keys by name: for all models, for another model, and for one request a minute; and the `path` of their file."""
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    made = {"path": str(path)}
    for name, models, per_minute in (("all", "*", None), ("other", "another", None), ("slow", "*", 1)):
        made[name] = keys.new_secret()
        key = keys.Key(keys.sha256_of(made[name]), (models,), datetime.now(UTC), requests_per_minute=per_minute)
        keys.add(path, name, key)
    return made


@pytest.fixture(scope="module")
def guarded(
    colours_repository: Path, tmp_path_factory: pytest.TempPathFactory, secrets: dict[str, str]
) -> Iterator[Gateway]:
    """A gateway that needs keys."""
    log = tmp_path_factory.mktemp("guarded") / "log"
    flags = ("--preload", MODEL, "--keys", secrets["path"], "--grpc-port", "0")
    with running_gateway(colours_repository, log, *flags) as running:
        yield running


def test_a_key_opens_the_models_that_it_is_for(guarded: Gateway, ask: Protocol, secrets: dict[str, str]) -> None:
    def asked(key: str | None) -> tuple[Answer, Answer]:
        request = Request([PICTURE], key=key)
        return ask(guarded, request), rest(guarded, request)

    assert asked(secrets["all"])[0].status == 200
    check_refusal(*asked(None), 401)
    check_refusal(*asked(keys.new_secret()), 401)
    check_refusal(*asked(secrets["other"]), 403)


def test_a_key_that_is_used_up_is_refused_with_the_time_to_try_again(
    guarded: Gateway, ask: Protocol, secrets: dict[str, str]
) -> None:
    request = Request([PICTURE], key=secrets["slow"])
    rest(guarded, request)
    answer = ask(guarded, request)
    assert answer.status == 429
    assert answer.retry_after is not None
    assert answer.error
