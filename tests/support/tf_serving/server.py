"""The stand-in as a server, with the flags of `tensorflow_model_server` that the tests and their images use."""

from __future__ import annotations

import argparse
import logging
import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
from google.protobuf import json_format, text_format
from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc, prediction_service_pb2_grpc
from tensorflow_serving.config import model_server_config_pb2

from tests.support.tf_serving.faults import FaultInjector
from tests.support.tf_serving.models import Models, RequestError
from tests.support.tf_serving.services import ModelService, PredictionService, read_config

log = logging.getLogger("tf_serving")

# flags of the real server that callers use: accepted here, without effect
WITHOUT_EFFECT = (
    "enable_batching", "batching_parameters_file", "monitoring_config_file", "tensorflow_session_parallelism",
    "tensorflow_intra_op_parallelism", "tensorflow_inter_op_parallelism", "rest_api_timeout_in_ms", "enable_profiler",
    "grpc_channel_arguments", "max_num_load_retries", "load_retry_interval_micros", "num_load_threads",
    "enable_model_warmup",
)  # fmt: skip


def flags(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse command-line arguments. As with the real server, a Boolean flag may have a value or not."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.tf_serving", allow_abbrev=False)
    switch = {"type": lambda text: text.lower() in ("true", "1"), "nargs": "?", "const": True, "default": False}
    parser.add_argument("--host", default="127.0.0.1", help="The real server listens on every address.")
    parser.add_argument("--port", type=int, default=8500, help="0 for a free port, which is printed.")
    parser.add_argument("--rest_api_port", type=int, help="For the status of models and metrics only.")
    parser.add_argument("--model_config_file", type=Path)
    parser.add_argument("--model_config_file_poll_wait_seconds", type=float, default=0, help="0 reads it once.")
    parser.add_argument("--file_system_poll_wait_seconds", type=float, default=1)
    parser.add_argument("--model_name", default="default")
    parser.add_argument("--model_base_path")
    parser.add_argument("--allow_version_labels_for_unavailable_models", **switch)  # type: ignore[arg-type]
    parser.add_argument("--enable_serialization_as_tensor_content", **switch)  # type: ignore[arg-type]
    parser.add_argument("--tls_certificate", type=Path, help="Not a flag of the real server: see its ssl_config_file.")
    parser.add_argument("--tls_key", type=Path)
    parser.add_argument("--tls_client_authority", type=Path, help="Requires client certificates of this authority.")
    for name in WITHOUT_EFFECT:
        parser.add_argument(f"--{name}", nargs="?", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str], announce: Callable[[int], None] | None = None) -> None:
    """Serve until the process is killed.

    Args:
        arguments: Command-line arguments.
        announce: Called with the port once the server listens.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    args = flags(arguments)
    faults = FaultInjector()
    models = Models(
        labels_before_versions=args.allow_version_labels_for_unavailable_models,
        hold_loads=lambda: faults.faults.hold_loads,
    )
    try:
        models.configure(_config(args))
    except (OSError, text_format.ParseError, RequestError) as error:
        raise SystemExit(f"Failed to start server. Error: {error}") from None
    predictions = PredictionService(models, faults, as_tensor_content=args.enable_serialization_as_tensor_content)
    server = grpc.server(
        ThreadPoolExecutor(32), options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)]
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(predictions, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(models), server)
    server.add_generic_rpc_handlers((faults.handler(),))
    address = f"{args.host}:{args.port}"
    port = server.add_secure_port(address, _tls(args)) if args.tls_key else server.add_insecure_port(address)
    server.start()
    if args.rest_api_port is not None:
        _serve_rest(args.host, args.rest_api_port, models, predictions)
    print(f"serving gRPC on {args.host}:{port}", flush=True)
    if announce is not None:
        announce(port)
    threading.Thread(target=_follow_config, args=(args, models), daemon=True).start()
    while True:
        models.follow()
        time.sleep(args.file_system_poll_wait_seconds)


def _config(args: argparse.Namespace) -> model_server_config_pb2.ModelServerConfig:
    if args.model_config_file:
        return read_config(args.model_config_file.read_text(encoding="utf-8"))
    config = model_server_config_pb2.ModelServerConfig()
    if args.model_base_path:
        config.model_config_list.config.add(
            name=args.model_name, base_path=args.model_base_path, model_platform="tensorflow"
        )
    return config


def _follow_config(args: argparse.Namespace, models: Models) -> None:
    while args.model_config_file and args.model_config_file_poll_wait_seconds:
        time.sleep(args.model_config_file_poll_wait_seconds)
        try:
            models.configure(_config(args))
        except (OSError, text_format.ParseError, RequestError) as error:
            log.error("failed to reload the configuration; keeping the old one: %s", error)


def _tls(args: argparse.Namespace) -> grpc.ServerCredentials:
    authority = args.tls_client_authority and args.tls_client_authority.read_bytes()
    return grpc.ssl_server_credentials(
        [(args.tls_key.read_bytes(), args.tls_certificate.read_bytes())],
        root_certificates=authority,
        require_client_auth=authority is not None,
    )


def _serve_rest(host: str, port: int, models: Models, predictions: PredictionService) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/monitoring/prometheus/metrics":
                self._answer(200, "text/plain", _metrics(predictions))
            elif match := re.fullmatch(r"(?i)/v1/models/([^/:]+)(?:/versions/(\d+))?", self.path):
                self._answer(*_status(models, *match.groups()))
            else:
                self._answer(404, "text/html", "<html>Not Found</html>")

        def _answer(self, status: int, media_type: str, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    threading.Thread(target=ThreadingHTTPServer((host, port), Handler).serve_forever, daemon=True).start()


def _status(models: Models, name: str, version: str | None) -> tuple[int, str, str]:
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = name
    if version:
        request.model_spec.version.value = int(version)
    response = get_model_status_pb2.GetModelStatusResponse()
    try:
        for version_status in models.statuses(request.model_spec):
            status = response.model_version_status.add(version=version_status.number, state=version_status.state)
            status.status.error_message = version_status.error
    except RequestError as error:
        return 404, "application/json", json_format.json.dumps({"error": str(error)})
    shown = json_format.MessageToJson(
        response, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return 200, "application/json", shown


def _metrics(predictions: PredictionService) -> str:
    counts = (
        f':tensorflow:serving:request_count{{model_name="{model}",status="{status}"}} {count}\n'
        for (model, status), count in sorted(predictions.requests.items())
    )
    return "# TYPE :tensorflow:serving:request_count counter\n" + "".join(counts)
