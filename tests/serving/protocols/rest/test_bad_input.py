"""Bad input, over a real socket. After each test the gateway answers as before and has not grown in memory."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.app import create_app
from serving.settings import Settings
from tests.support.gateway import Gateway

MODEL = "efficientnet-lite0"
PATH = f"/classify/{MODEL}"
JPEG = {"Content-Type": "image/jpeg"}
MEMORY_SLACK_MB = 40


@pytest.fixture(autouse=True)
def unharmed(gateway: Gateway, photographs: dict[str, bytes]) -> Iterator[None]:
    """After each test the gateway classifies a photograph and has not grown in memory."""

    def classify() -> None:
        answer = gateway.client.post(PATH, content=photographs["coffee"], headers=JPEG).json()
        assert answer["images"][0][0]["label"] == "espresso"

    classify()
    before = gateway.resident_mb()
    yield
    classify()
    assert gateway.resident_mb() < before + MEMORY_SLACK_MB
    assert "Traceback" not in gateway.logged()


def assert_problem(response: httpx.Response, status: int, kind: str, *words: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert set(problem) == {"type", "title", "status", "detail", "instance", "request_id"}
    assert problem["type"] == f"urn:keras-archs:problem:{kind}"
    assert problem["status"] == status
    assert problem["request_id"] == response.headers["X-Request-ID"]
    for word in words:
        assert word in problem["detail"]
    return problem


def png_bomb(width: int, height: int) -> bytes:
    """Return a small PNG whose header announces this size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def post(gateway: Gateway, content: bytes, content_type: str = "image/jpeg", path: str = PATH) -> httpx.Response:
    return gateway.client.post(path, content=content, headers={"Content-Type": content_type})


def test_an_empty_body(gateway: Gateway) -> None:
    assert_problem(post(gateway, b""), 400, "invalid-image", "empty")


def test_text_named_jpg(gateway: Gateway) -> None:
    response = gateway.client.post(PATH, files={"image": ("photo.jpg", b"not an image at all", "image/jpeg")})
    assert_problem(response, 400, "invalid-image", "not an image")


def test_a_truncated_jpeg(gateway: Gateway, photographs: dict[str, bytes]) -> None:
    whole = photographs["coffee"]
    for part in (len(whole) // 2, 100, 3):
        assert_problem(post(gateway, whole[:part]), 400, "invalid-image", "image 1")


def test_a_png_bomb_is_refused_by_its_header(gateway: Gateway) -> None:
    for bomb in (png_bomb(50_000, 50_000), png_bomb(2**31 - 1, 2**31 - 1), png_bomb(70_000_000, 1)):
        assert_problem(post(gateway, bomb, "image/png"), 413, "image-too-large", "pixels")


def test_one_bad_image_among_good_ones_is_named(gateway: Gateway, photographs: dict[str, bytes]) -> None:
    files = [("image", photographs["coffee"]), ("image", b"rubbish"), ("image", photographs["camera"])]
    assert_problem(gateway.client.post(PATH, files=files), 400, "invalid-image", "image 2")


def raw_exchange(gateway: Gateway, head: str, chunks: Iterator[bytes] | None = None) -> httpx.Response:
    """Send a request exactly as written, continue until the server closes the connection, and read the answer."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode())
        try:
            for chunk in chunks or ():
                connection.sendall(chunk)
        except (BrokenPipeError, ConnectionResetError):
            pass
        received = b""
        try:
            while data := connection.recv(65536):
                received += data
        except ConnectionResetError:
            assert received, "the connection was reset before an answer"
    status_and_headers, _, body = received.partition(b"\r\n\r\n")
    status, *headers = status_and_headers.decode().split("\r\n")
    return httpx.Response(int(status.split()[1]), headers=dict(line.split(": ", 1) for line in headers), content=body)


HEAD = f"POST {PATH} HTTP/1.1\nHost: gateway\nContent-Type: image/jpeg\n"


def test_100_mb_with_a_content_length_are_refused_before_the_upload(gateway: Gateway) -> None:
    response = raw_exchange(gateway, f"{HEAD}Content-Length: 100000000\n\n")
    assert_problem(response, 413, "body-too-large", "5000000", "the Content-Length is 100000000")
    assert response.headers["connection"] == "close"


def test_100_mb_sent_nevertheless_are_not_read(gateway: Gateway) -> None:
    chunks = (bytes(100_000) for _ in range(1000))
    response = raw_exchange(gateway, f"{HEAD}Content-Length: 100000000\n\n", chunks)
    assert_problem(response, 413, "body-too-large")


def test_100_mb_without_a_content_length_are_refused_during_the_upload(gateway: Gateway) -> None:
    sent = 0

    def chunks() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 100_000
            yield b"186a0\r\n" + bytes(100_000) + b"\r\n"
        yield b"0\r\n\r\n"

    response = raw_exchange(gateway, f"{HEAD}Transfer-Encoding: chunked\n\n", chunks())
    assert_problem(response, 413, "body-too-large", "more than 5000000")
    assert sent < 100_000_000


def test_bytes_beyond_the_content_length_are_not_part_of_the_body(gateway: Gateway) -> None:
    response = raw_exchange(gateway, f"{HEAD}Content-Length: 10\nConnection: close\n\n", iter([bytes(1_000_000)]))
    assert_problem(response, 400, "invalid-image")


def test_100_mb_as_a_form_are_refused_during_the_upload(gateway: Gateway) -> None:
    head = f"POST {PATH} HTTP/1.1\nHost: gateway\nContent-Type: multipart/form-data; boundary=b\n"
    start = b'--b\r\nContent-Disposition: form-data; name="f"; filename="f.jpg"\r\n\r\n'

    def chunks() -> Iterator[bytes]:
        yield f"{len(start):x}\r\n".encode() + start + b"\r\n"
        for _ in range(1000):
            yield b"186a0\r\n" + bytes(100_000) + b"\r\n"

    response = raw_exchange(gateway, f"{head}Transfer-Encoding: chunked\n\n", chunks())
    assert_problem(response, 413, "body-too-large")


def test_clients_that_disconnect_during_the_upload(gateway: Gateway) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection:
            head = HEAD.replace("\n", "\r\n") + "Content-Length: 1000000\r\n\r\n"
            connection.sendall(head.encode() + bytes(100_000))
            linger = struct.pack("ii", 1, 0)  # closes with a reset, like a crashed client
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


@pytest.mark.parametrize(
    "name", ["efficientnet-b9", "EFFICIENTNET-LITE0", "a" * 3000, "%00", "caf%C3%A9", "%F0%9F%92%A9"]
)
def test_an_unknown_model(gateway: Gateway, name: str, photographs: dict[str, bytes]) -> None:
    response = post(gateway, photographs["coffee"], path=f"/classify/{name}")
    assert_problem(response, 404, "model-not-found", "is published here")


def test_a_misspelt_model_gets_a_suggestion(gateway: Gateway) -> None:
    for misspelt in ("efficientnet-lit0", "efficientnet-lite", "efficientnet_lite0"):
        problem = post(gateway, b"", path=f"/classify/{misspelt}")
        assert_problem(problem, 404, "model-not-found", "did you mean efficientnet-lite0?")


def test_a_registered_network_that_is_not_published_gets_the_export_command(gateway: Gateway) -> None:
    response = post(gateway, b"", path="/classify/efficientnet-b2")
    assert_problem(response, 404, "model-not-found", "keras-archs export efficientnet-b2")


@pytest.mark.parametrize(
    "name", ["..%2f..%2fetc%2fpasswd", "..%2fefficientnet-lite0", "%2e%2e", "..%5c", "x%2fversions%2f1"]
)
def test_paths_in_model_names_are_not_found(gateway: Gateway, name: str) -> None:
    for path in (f"/classify/{name}", f"/models/{name}"):
        response = raw_exchange(
            gateway, f"POST {path} HTTP/1.1\nHost: gateway\nContent-Length: 0\nConnection: close\n\n"
        )
        assert response.status_code in (404, 405), response.text
        assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("version", ["-1", str(10**30), "abc", "1.5", "1e3"])
def test_an_invalid_version(gateway: Gateway, version: str) -> None:
    response = post(gateway, b"", path=f"{PATH}/versions/{version}")
    assert_problem(response, 422, "invalid-parameter", "version", version[:20])


def test_an_unknown_version_and_an_unknown_label(gateway: Gateway) -> None:
    for version in (0, 7):
        response = post(gateway, b"", path=f"{PATH}/versions/{version}")
        assert_problem(response, 404, "version-not-found", "versions: 1")
    assert_problem(post(gateway, b"", path=f"{PATH}/labels/canary"), 404, "label-not-found", "labels: none")


@pytest.mark.parametrize("top_k", ["0", "-1", "100000", "abc", str(10**30), ""])
def test_top_k_out_of_range(gateway: Gateway, photographs: dict[str, bytes], top_k: str) -> None:
    response = post(gateway, photographs["coffee"], path=f"{PATH}?top_k={top_k}")
    assert_problem(response, 422, "invalid-parameter", "top_k", top_k)


@pytest.mark.parametrize("index", ["-1", "1000", str(10**30), "abc", "1.5", ""])
def test_an_invalid_class_to_explain(gateway: Gateway, photographs: dict[str, bytes], index: str) -> None:
    response = post(gateway, photographs["coffee"], path=f"/explain/{MODEL}?class={index}")
    assert_problem(response, 422, "invalid-parameter", "class", index)


def test_more_than_one_image_to_explain(gateway: Gateway, photographs: dict[str, bytes]) -> None:
    encoded = base64.b64encode(photographs["coffee"]).decode()
    for body in ({"files": list(photographs.items())}, {"json": {"images": [encoded] * 3}}):
        response = gateway.client.post(f"/explain/{MODEL}", **body)
        assert_problem(response, 422, "invalid-parameter", "one image to explain; got 3")


def test_no_image_to_explain(gateway: Gateway) -> None:
    for content in (b"", b"not an image at all"):
        assert_problem(post(gateway, content, path=f"/explain/{MODEL}"), 400, "invalid-image", "image 1")


@pytest.mark.parametrize("accept", ["text/html", "image/jpeg, image/webp", "image/png;q=0", "nonsense"])
def test_an_explanation_in_an_unavailable_media_type(
    gateway: Gateway, photographs: dict[str, bytes], accept: str
) -> None:
    response = gateway.client.post(f"/explain/{MODEL}", content=photographs["coffee"], headers={"Accept": accept})
    assert_problem(response, 406, "not-acceptable", accept, "application/json or image/png")


@pytest.mark.parametrize("text", ["not base64!", "YWJj\nYWJj", "data:image/jpeg;base64,YWJj", "YWJ", "é"])
def test_bad_base64(gateway: Gateway, text: str) -> None:
    response = gateway.client.post(PATH, json={"images": [text]})
    assert_problem(response, 400, "malformed-request", "image 1 is not standard base64")


Form = Callable[[list[bytes]], dict[str, Any]]


def as_raw(images: list[bytes]) -> dict[str, Any]:
    (image,) = images
    return {"content": image, "headers": JPEG}


def as_form(images: list[bytes]) -> dict[str, Any]:
    part = b'--b\r\nContent-Disposition: form-data; name="image"; filename="image.jpg"\r\n\r\n%b\r\n'
    content = b"".join(part % image for image in images) + b"--b--\r\n"
    return {"content": content, "headers": {"Content-Type": "multipart/form-data; boundary=b"}}


def as_json(images: list[bytes]) -> dict[str, Any]:
    return {"json": {"images": [base64.b64encode(image).decode() for image in images]}}


@pytest.mark.parametrize(
    ("images", "forms", "status", "kind", "detail"),
    [
        pytest.param([], (as_form, as_json), 422, "invalid-parameter", "at least", id="no image"),
        pytest.param([b"x"] * 33, (as_form, as_json), 422, "invalid-parameter", "32 images", id="33 images"),
        pytest.param([b"x"] * 1001, (as_form, as_json), 422, "invalid-parameter", "32 images", id="1001 images"),
        pytest.param([b""], (as_raw, as_form, as_json), 400, "invalid-image", "image 1 is empty", id="empty image"),
        pytest.param([b"x", b""], (as_form, as_json), 400, "invalid-image", "image 2 is empty", id="second empty"),
        pytest.param([b"x"], (as_raw, as_form, as_json), 400, "invalid-image", "image 1", id="not an image"),
        pytest.param(
            [png_bomb(50_000, 50_000)], (as_raw, as_form, as_json), 413, "image-too-large", "image 1", id="PNG bomb"
        ),
    ],
)
def test_a_mistake_gets_the_same_answer_in_every_body_form(
    gateway: Gateway, images: list[bytes], forms: tuple[Form, ...], status: int, kind: str, detail: str
) -> None:
    for path in (PATH, f"/explain/{MODEL}"):
        if len(images) == 2 and path != PATH:
            continue  # two images are a mistake of their own there
        for form in forms:
            assert_problem(gateway.client.post(path, **form(images)), status, kind, detail)


def test_a_truncated_form_or_json_is_malformed(gateway: Gateway, photographs: dict[str, bytes]) -> None:
    images = [photographs["coffee"], photographs["camera"]]
    form = as_form(images)
    end_of_first_image = form["content"].index(photographs["camera"])
    for length in (len(form["content"]) - 7, end_of_first_image, 0):
        response = gateway.client.post(PATH, content=form["content"][:length], headers=form["headers"])
        assert_problem(response, 400, "malformed-request", "boundary")
    body = json.dumps(as_json(images)["json"]).encode()
    for length in (len(body) - 1, len(body) // 2, 0):
        assert_problem(post(gateway, body[:length], "application/json"), 400, "malformed-request")


@pytest.mark.parametrize("size", [1, 2_000_000])
def test_a_field_that_is_not_an_image_is_an_invalid_parameter(
    gateway: Gateway, photographs: dict[str, bytes], size: int
) -> None:
    form = gateway.client.post(PATH, data={"top_k": "3" * size}, files={"image": photographs["coffee"]})
    assert_problem(form, 422, "invalid-parameter", "'top_k' is not a file")
    body = as_json([photographs["coffee"]])["json"] | {"top_k": "3" * size}
    assert_problem(gateway.client.post(PATH, json=body), 422, "invalid-parameter", "top_k")


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"", 400, "malformed-request"),
        (b"{", 400, "malformed-request"),
        (b"[" * 50_000, 422, "invalid-parameter"),
        (b'{"images": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 422, "invalid-parameter"),
        (b"[]", 422, "invalid-parameter"),
        (b"{}", 422, "invalid-parameter"),
        (b'{"images": []}', 422, "invalid-parameter"),
        (b'{"images": "YWJj"}', 422, "invalid-parameter"),
        (b'{"images": [NaN]}', 400, "malformed-request"),
        (b'{"images": ["YWJj"], "more": 1}', 422, "invalid-parameter"),
        (b'{"images": [""]}', 400, "invalid-image"),
        (b'{"images": [5]}', 422, "invalid-parameter"),
    ],
)
def test_invalid_json(gateway: Gateway, body: bytes, status: int, kind: str) -> None:
    assert_problem(post(gateway, body, "application/json"), status, kind)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no boundary here",
        b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\nnever ends',
        b'--b\r\nContent-Disposition: form-data; filename="f"\r\n\r\nno name\r\n--b--\r\n',
        b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\nx\r\n' * 3,
    ],
)
def test_malformed_forms(gateway: Gateway, body: bytes) -> None:
    assert_problem(post(gateway, body, "multipart/form-data; boundary=b"), 400, "malformed-request")


def test_the_last_boundary_of_a_form_may_lack_its_line_break(gateway: Gateway, photographs: dict[str, bytes]) -> None:
    form = as_form([photographs["coffee"]])
    response = gateway.client.post(PATH, content=form["content"][:-2], headers=form["headers"])
    assert response.json()["images"][0][0]["label"] == "espresso"


def test_a_form_without_a_boundary(gateway: Gateway) -> None:
    assert_problem(post(gateway, b"x", "multipart/form-data"), 400, "malformed-request")


@pytest.mark.parametrize("content_type", ["application/pdf", "text/html", "video/mp4", "multipart/mixed", "nonsense"])
def test_a_wrong_content_type(gateway: Gateway, photographs: dict[str, bytes], content_type: str) -> None:
    response = post(gateway, photographs["coffee"], content_type)
    assert_problem(response, 415, "unsupported-media-type", content_type, "image/jpeg")


@pytest.mark.parametrize(
    "content_type",
    [
        "image/jpg",
        "image/pjpeg",
        "image/x-png",
        "image/x-ms-bmp",
        "IMAGE/JPEG; charset=binary",
        "image/tiff",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
        "",
    ],
)
def test_the_bytes_of_an_image_decide_and_not_its_declared_type(
    gateway: Gateway, photographs: dict[str, bytes], content_type: str
) -> None:
    response = post(gateway, photographs["coffee"], content_type)
    assert response.json()["images"][0][0]["label"] == "espresso"
    assert_problem(post(gateway, b"no image", content_type), 400, "invalid-image")


@pytest.mark.parametrize(
    ("header", "value"),
    [("Content-Encoding", "gzip"), ("Content-Encoding", "br"), ("Transfer-Encoding", "gzip, chunked")],
)
def test_a_compressed_body_is_refused_with_the_reason(gateway: Gateway, header: str, value: str) -> None:
    length = "" if header == "Transfer-Encoding" else "Content-Length: 4\n"
    response = raw_exchange(gateway, f"{HEAD}{header}: {value}\n{length}Connection: close\n\n")
    assert_problem(response, 415, "unsupported-media-type", header.lower(), value)


def test_a_body_declared_as_not_compressed_is_read(gateway: Gateway, photographs: dict[str, bytes]) -> None:
    response = gateway.client.post(PATH, content=photographs["coffee"], headers={"Content-Encoding": "identity"})
    assert response.json()["images"][0][0]["label"] == "espresso"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("topk=2", ["'topk'", "did you mean top_k?"]),
        ("TOP_K=2", ["'TOP_K'", "did you mean top_k?"]),
        ("top_k=2&timout=3", ["'timout'", "did you mean timeout?"]),
        ("threshold=0.5", ["'threshold'", "there are timeout and top_k"]),
        ("top_k=2&top_k=3", ["top_k", "more than once"]),
        ("&".join(f"a{number}=" for number in range(1000)), ["'a0'"]),
    ],
)
def test_an_unknown_or_repeated_query_parameter_is_refused(
    gateway: Gateway, photographs: dict[str, bytes], query: str, words: list[str]
) -> None:
    for selected in ("", "/versions/1"):
        response = post(gateway, photographs["coffee"], path=f"{PATH}{selected}?{query}")
        assert_problem(response, 422, "invalid-parameter", *words)


def test_explain_has_query_parameters_of_its_own(gateway: Gateway, photographs: dict[str, bytes]) -> None:
    response = post(gateway, photographs["coffee"], path=f"/explain/{MODEL}?clas=1")
    assert_problem(response, 422, "invalid-parameter", "'clas'", "did you mean class?")


@pytest.mark.parametrize(
    "path",
    ["/healthz", "/readyz", "/models", f"/models/{MODEL}", f"/models/{MODEL}/versions", "/metrics", "/", "/docs"],
)
def test_head_answers_as_get_without_a_body(gateway: Gateway, path: str) -> None:
    got, head = gateway.client.get(path), gateway.client.head(path)
    assert head.status_code == got.status_code == 200
    assert head.content == b""
    assert head.headers["content-type"] == got.headers["content-type"]
    assert int(head.headers["content-length"]) > 0


def test_head_on_a_path_that_has_no_get_is_refused(gateway: Gateway) -> None:
    assert gateway.client.head(PATH).status_code == 405
    assert gateway.client.head("/nowhere").status_code == 404
    response = gateway.client.post("/models")
    assert_problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/models/", f"/classify/{MODEL}/", "//models", "/healthz/"])
@pytest.mark.parametrize("host", ["evil.example", "evil.example/?", "[", ""])
def test_no_answer_sends_a_client_to_the_host_that_it_names(gateway: Gateway, path: str, host: str) -> None:
    response = raw_exchange(gateway, f"GET {path} HTTP/1.1\nHost: {host}\nConnection: close\n\n")
    problem = assert_problem(response, 404, "not-found")
    assert problem["instance"] == path
    assert "evil" not in response.text + str(response.headers)


@pytest.mark.parametrize("own", ["3f1c2f0e7d6b4a6f8e1d2c3b4a596877", "job-42.retry_1", "x", "Y" * 128])
def test_a_clients_own_request_id_is_kept(gateway: Gateway, own: str) -> None:
    response = gateway.client.post(PATH, content=b"x", headers={"X-Request-ID": own})
    assert response.headers["X-Request-ID"] == response.json()["request_id"] == own


@pytest.mark.parametrize("own", ["", "Y" * 129, "two words", "<b>", "a\tb", "caf\u00e9", '"', "a,b"])
def test_a_request_id_that_is_not_safe_to_log_is_replaced(gateway: Gateway, own: str) -> None:
    response = gateway.client.get("/healthz", headers={b"X-Request-ID": own.encode("latin-1")})
    assert len(response.headers["X-Request-ID"]) == 32


def test_a_content_length_of_thousands_of_digits(gateway: Gateway) -> None:
    for zeros in (20, 4300, 5000):
        head = f"{HEAD}Connection: close\nContent-Length: {'0' * zeros}"
        assert_problem(raw_exchange(gateway, f"{head}10\n\n", iter([b"ten bytes."])), 400, "invalid-image")
        assert_problem(raw_exchange(gateway, f"{head}{'9' * 19}\n\n"), 413, "body-too-large", "9" * 19)


def test_other_formats_are_named_and_no_format_at_all_is_an_invalid_image(gateway: Gateway) -> None:
    for content in (b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.7", b"II*\x00" + bytes(100)):
        assert_problem(post(gateway, content, ""), 415, "unsupported-media-type", "is not supported")
    for content in (b"GIF89a", b"text", bytes(100)):
        assert_problem(post(gateway, content, ""), 400, "invalid-image")


def test_unknown_paths_and_methods_are_problems_too(gateway: Gateway) -> None:
    assert_problem(gateway.client.get("/nowhere"), 404, "not-found", "/nowhere")
    response = gateway.client.get(PATH)
    assert_problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "POST"


def test_garbage_instead_of_http(gateway: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection:
        connection.sendall(io.BytesIO(b"\x16\x03\x01\x02\x00\x01\x00" * 100).getvalue())
        assert connection.recv(1000).startswith(b"HTTP/1.1 400")


def test_an_unexpected_error_is_a_problem_without_internals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("serving.protocols.rest.body.read_images", broken)
    monkeypatch.setattr("serving.engines.embedded.EmbeddedEngine.check_published", lambda *_: None)

    async def ask() -> httpx.Response:
        app = create_app(Settings(repository=tmp_path))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return await client.post(PATH)

    problem = assert_problem(asyncio.run(ask()), 500, "internal-error", "the server's log has the details")
    assert "secret" not in str(problem)
