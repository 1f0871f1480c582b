"""Triton's own clients, unchanged, over HTTP and over gRPC: the same requests give the same answers over both."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
from tritonclient.utils import InferenceServerException

from tests.serving.protocols.open_inference.conftest import MODEL, Server

HTTP, GRPC = tritonclient.http, tritonclient.grpc
TOLERANCE = 1e-4
MISSING = {"http": "404", "grpc": "StatusCode.NOT_FOUND"}
INVALID = {"http": {"400", "422"}, "grpc": {"StatusCode.INVALID_ARGUMENT"}}


@pytest.fixture(params=["http", "grpc"])
def transport(request: pytest.FixtureRequest) -> str:
    """Each of the two."""
    return str(request.param)


@pytest.fixture
def library(transport: str) -> ModuleType:
    """The classes of inputs and outputs."""
    libraries: dict[str, ModuleType] = {"http": HTTP, "grpc": GRPC}
    return libraries[transport]


@pytest.fixture
def triton(transport: str, server: Server) -> Iterator[Any]:
    """A client."""
    client = HTTP.InferenceServerClient(server.http) if transport == "http" else GRPC.InferenceServerClient(server.grpc)
    with client:
        yield client


def an_input(library: ModuleType, name: str, datatype: str, array: Any, **options: Any) -> Any:
    """An input with the data of an array."""
    given = library.InferInput(name, list(array.shape), datatype)
    given.set_data_from_numpy(array, **options)
    return given


def pixels_of(library: ModuleType, server: Server) -> Any:
    """The photograph as pixels."""
    return an_input(library, "images", "UINT8", server.pixels)


def file_of(library: ModuleType, server: Server) -> Any:
    """The photograph as a file."""
    return an_input(library, "image_bytes", "BYTES", np.array([server.jpeg], np.object_))


def field(answer: Any, name: str) -> Any:
    """A field of an answer, which is a dictionary over HTTP and a message over gRPC."""
    return answer[name] if isinstance(answer, dict) else getattr(answer, name)


def test_server_and_model_are_alive_and_ready(triton: Any) -> None:
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready(MODEL)
    assert triton.is_model_ready(MODEL, "1")


def test_the_server_names_itself_and_its_extensions(triton: Any) -> None:
    described = triton.get_server_metadata()
    assert field(described, "name") == "keras-archs"
    assert list(field(described, "extensions")) == ["binary_tensor_data", "classification"]


def test_a_model_lists_both_inputs_and_its_output(triton: Any) -> None:
    described = triton.get_model_metadata(MODEL)
    tensors = [
        (field(tensor, "name"), field(tensor, "datatype"), [int(size) for size in field(tensor, "shape")])
        for tensor in [*field(described, "inputs"), *field(described, "outputs")]
    ]
    assert tensors == [
        ("images", "UINT8", [-1, 224, 224, 3]),
        ("image_bytes", "BYTES", [-1]),
        ("probabilities", "FP32", [-1, 1000]),
    ]
    assert list(field(described, "versions")) == ["1"]
    assert field(described, "platform") == "tensorflow_savedmodel"


def test_the_index_lists_the_versions(triton: Any) -> None:
    index = triton.get_model_repository_index()
    (entry,) = index if isinstance(index, list) else index.models
    assert [field(entry, name) for name in ("name", "version", "state")] == [MODEL, "1", "READY"]


@pytest.mark.parametrize("form", [pixels_of, file_of])
def test_pixels_and_a_file_give_the_scores_of_classify(
    triton: Any, library: ModuleType, server: Server, form: Any
) -> None:
    answer = triton.infer(MODEL, [form(library, server)])
    np.testing.assert_allclose(answer.as_numpy("probabilities"), server.expected, atol=TOLERANCE)


def test_a_version_can_be_chosen_and_is_told(triton: Any, library: ModuleType, server: Server) -> None:
    response = triton.infer(MODEL, [pixels_of(library, server)], model_version="1").get_response()
    assert field(response, "model_name") == MODEL
    assert field(response, "model_version") == "1"


def test_the_id_of_a_request_comes_back(triton: Any, library: ModuleType, server: Server) -> None:
    asked = triton.infer(MODEL, [pixels_of(library, server)], request_id="a b 42")
    assert field(asked.get_response(), "id") == "a b 42"
    plain = triton.infer(MODEL, [pixels_of(library, server)]).get_response()
    assert not (plain.get("id") if isinstance(plain, dict) else plain.id)


def test_the_answer_says_whether_the_weights_are_trained(triton: Any, library: ModuleType, server: Server) -> None:
    parameters = field(triton.infer(MODEL, [pixels_of(library, server)]).get_response(), "parameters")
    assert parameters["trained"] is True or parameters["trained"].bool_param is True


def test_several_images_are_answered_in_their_order(triton: Any, library: ModuleType, server: Server) -> None:
    black = np.zeros_like(server.pixels)
    batch = an_input(library, "images", "UINT8", np.concatenate([black, server.pixels, black]))
    scores = triton.infer(MODEL, [batch]).as_numpy("probabilities")
    assert scores.shape == (3, 1000)
    np.testing.assert_allclose(scores[1:2], server.expected, atol=TOLERANCE)
    np.testing.assert_array_equal(scores[0], scores[2])


def test_the_best_classes_come_as_score_index_and_label(triton: Any, library: ModuleType, server: Server) -> None:
    wanted = library.InferRequestedOutput("probabilities", class_count=3)
    found = triton.infer(MODEL, [file_of(library, server)], outputs=[wanted]).as_numpy("probabilities")
    assert found.shape == (1, 3)
    assert found.dtype == np.object_
    parts = [entry.decode().split(":") for entry in found[0]]
    assert [int(index) for _, index, _ in parts] == np.argsort(-server.expected[0])[:3].tolist()
    np.testing.assert_allclose([float(score) for score, _, _ in parts], np.sort(server.expected[0])[:-4:-1], atol=1e-4)
    assert {label for _, _, label in parts} & {"tabby", "tiger cat", "Egyptian cat"}


def test_more_classes_than_there_are_give_all(triton: Any, library: ModuleType, server: Server) -> None:
    wanted = library.InferRequestedOutput("probabilities", class_count=5000)
    assert triton.infer(MODEL, [file_of(library, server)], outputs=[wanted]).as_numpy("probabilities").shape == (
        1,
        1000,
    )


def test_json_data_and_a_json_answer_are_the_same_as_bytes(server: Server) -> None:
    encoded = np.array([base64.b64encode(server.jpeg)], np.object_)
    inputs = [
        an_input(HTTP, "images", "UINT8", server.pixels, binary_data=False),
        an_input(HTTP, "image_bytes", "BYTES", encoded, binary_data=False),
    ]
    outputs = [HTTP.InferRequestedOutput("probabilities", binary_data=False)]
    with HTTP.InferenceServerClient(server.http) as client:
        for given in inputs:
            answer = client.infer(MODEL, [given], outputs=outputs)
            assert "data" in answer.get_output("probabilities")
            np.testing.assert_allclose(answer.as_numpy("probabilities"), server.expected, atol=TOLERANCE)


@pytest.mark.parametrize("binary", [True, False])
def test_classes_come_as_bytes_or_as_json(server: Server, binary: bool) -> None:
    outputs = [HTTP.InferRequestedOutput("probabilities", binary_data=binary, class_count=2)]
    with HTTP.InferenceServerClient(server.http) as client:
        answer = client.infer(MODEL, [file_of(HTTP, server)], outputs=outputs)
        assert ("data" in answer.get_output("probabilities")) != binary
        assert answer.as_numpy("probabilities").shape == (1, 2)


async def ask_asynchronously(client: Any, given: Any) -> Any:
    """The scores that an asynchronous client gets."""
    async with client:
        assert await client.is_server_ready()
        assert await client.is_model_ready(MODEL)
        return (await client.infer(MODEL, [given])).as_numpy("probabilities")


@pytest.mark.parametrize("form", [pixels_of, file_of])
def test_the_asynchronous_clients_get_the_same(transport: str, library: ModuleType, server: Server, form: Any) -> None:
    import asyncio

    async def ask() -> Any:
        if transport == "http":
            client = tritonclient.http.aio.InferenceServerClient(server.http)
        else:
            client = tritonclient.grpc.aio.InferenceServerClient(server.grpc)
        return await ask_asynchronously(client, form(library, server))

    np.testing.assert_allclose(asyncio.run(ask()), server.expected, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("model", "version", "says"),
    [
        ("nothing", "", "no model 'nothing' is published here"),
        (MODEL, "7", "no version 7"),
        (MODEL, "canary", "canary"),
    ],
)
def test_what_is_not_published_is_not_found(
    triton: Any, library: ModuleType, transport: str, server: Server, model: str, version: str, says: str
) -> None:
    with pytest.raises(InferenceServerException, match=says) as raised:
        triton.infer(model, [pixels_of(library, server)], model_version=version)
    assert raised.value.status() == MISSING[transport]
    with pytest.raises(InferenceServerException, match=says) as raised:
        triton.get_model_metadata(model, version)
    assert raised.value.status() == MISSING[transport]


@pytest.mark.parametrize(
    ("name", "datatype", "array", "says"),
    [
        ("input_1", "UINT8", np.zeros((1, 224, 224, 3), np.uint8), "the inputs are 'images' and 'image_bytes'"),
        ("images", "FP32", np.zeros((1, 224, 224, 3), np.float32), "datatype of 'images' is UINT8; got 'FP32'"),
        ("images", "UINT8", np.zeros((1, 3, 224, 224), np.uint8), "[N, 224, 224, 3]"),
        ("images", "UINT8", np.zeros((224, 224, 3), np.uint8), "[N, H, W, C]"),
        ("images", "UINT8", np.zeros((33, 224, 224, 3), np.uint8), "at most 32 images; got 33"),
        ("image_bytes", "BYTES", np.array([[b"a"]], np.object_), "the shape of 'image_bytes' is [N]"),
        ("image_bytes", "BYTES", np.array([b"not an image"], np.object_), "image 1"),
        ("image_bytes", "BYTES", np.array([b""], np.object_), "image 1 is empty"),
    ],
)
def test_a_mistake_is_named(
    triton: Any, library: ModuleType, transport: str, name: str, datatype: str, array: Any, says: str
) -> None:
    with pytest.raises(InferenceServerException) as raised:
        triton.infer(MODEL, [an_input(library, name, datatype, array)])
    assert says in str(raised.value)
    assert raised.value.status() in INVALID[transport] | {"415"}


def test_two_inputs_and_unknown_outputs_are_refused(
    triton: Any, library: ModuleType, transport: str, server: Server
) -> None:
    both = [pixels_of(library, server), file_of(library, server)]
    with pytest.raises(InferenceServerException, match="got 2 inputs") as raised:
        triton.infer(MODEL, both)
    assert raised.value.status() in INVALID[transport]
    with pytest.raises(InferenceServerException, match="the output is 'probabilities'; got 'logits'"):
        triton.infer(MODEL, both[:1], outputs=[library.InferRequestedOutput("logits")])


def test_a_timeout_of_the_request_is_heeded(triton: Any, library: ModuleType, server: Server, transport: str) -> None:
    with pytest.raises(InferenceServerException, match="within 1e-06 s") as raised:
        triton.infer(MODEL, [file_of(library, server)], timeout=1)
    assert raised.value.status() == {"http": "504", "grpc": "StatusCode.DEADLINE_EXCEEDED"}[transport]


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed_requests_are_refused(triton: Any, library: ModuleType, server: Server, algorithm: str) -> None:
    options = {"request_compression_algorithm": algorithm}
    if library is GRPC:
        options = {"compression_algorithm": algorithm}
    with pytest.raises(InferenceServerException, match=r"(?i)compress"):
        triton.infer(MODEL, [pixels_of(library, server)], **options)
