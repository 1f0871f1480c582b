"""Keys, limits, origins and proxies, as clients of every protocol over HTTP see them."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from prometheus_client.parser import text_string_to_metric_families

from keras_archs import keys
from serving.app import create_app
from serving.settings import Settings
from tests.support.asgi import answers, get

OPEN = ["/", "/healthz", "/static/coffee.jpg", "/v2/health/live", "/static-offline-docs/swagger-ui.css"]
GUARDED = ["/models", "/models/tiny", "/metrics", "/docs", "/openapi.json", "/v1/models/tiny", "/v2", "/nowhere"]
SECRET, LIMITED, TINY = keys.new_secret(), keys.new_secret(), keys.new_secret()


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path, now = tmp_path / "keys.json", datetime.now(UTC)
    keys.add(path, "team-a", keys.Key(keys.sha256_of(SECRET), ("*",), now))
    keys.add(path, "slow", keys.Key(keys.sha256_of(LIMITED), ("*",), now, 3, 1000))
    keys.add(path, "tiny-only", keys.Key(keys.sha256_of(TINY), ("tiny",), now))
    return path


@pytest.fixture
def gateway(tmp_path: Path) -> Callable[..., FastAPI]:
    """Creates a gateway without models."""
    return lambda **settings: create_app(Settings(repository=tmp_path / "models", **settings))


def test_without_keys_nothing_needs_a_key(gateway: Callable[..., FastAPI]) -> None:
    app = gateway()
    found = [path for path in OPEN + GUARDED if "tiny" not in path and path != "/nowhere"]
    wrong = {"Authorization": "Bearer anything"}
    for answer in answers(app, *[("GET", path, {}) for path in found], ("GET", "/models", wrong)):
        assert answer.is_success


def test_with_keys_everything_but_the_page_and_health_needs_a_key(
    gateway: Callable[..., FastAPI], stored: Path
) -> None:
    app = gateway(keys=stored)
    paths = [*OPEN, *GUARDED]
    asked = answers(app, *[("GET", path, {}) for path in paths])
    statuses = {path: answer.status_code for path, answer in zip(paths, asked, strict=True)}
    assert statuses == dict.fromkeys(OPEN, 200) | dict.fromkeys(GUARDED, 401)
    for path in ("/classify/tiny", "/explain/tiny", "/v1/models/tiny:predict", "/v2/models/tiny/infer"):
        (refused,) = answers(app, ("POST", path, {}), content=b"x")
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "path",
    [
        "//metrics",
        "/metrics/",
        "/Metrics",
        "/static/../metrics",
        "/static/%2e%2e/metrics",
        "/static/..%2fmetrics",
        "/static/%252e%252e/metrics",
        "/%6detrics",
        "/healthz/../metrics",
        "/healthz/",
        "/static",
        "/metrics;a=b",
        "/metrics%00",
        "/metrics%0d%0aX-Injected:%201",
    ],
)
def test_no_spelling_of_a_path_goes_around_the_key(
    gateway: Callable[..., FastAPI], stored: Path, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = gateway(keys=stored)
    with caplog.at_level(logging.INFO):
        answer = get(app, path)
    assert answer.status_code in {401, 404}
    assert "keras_archs_" not in answer.text
    assert "x-injected" not in answer.headers
    assert all("\n" not in record.getMessage() for record in caplog.records)


def test_both_headers_carry_a_key_and_every_protocol_shows_its_own_kind_of_error(
    gateway: Callable[..., FastAPI], stored: Path
) -> None:
    app = gateway(keys=stored)
    assert get(app, "/models", Authorization=f"Bearer {SECRET}").is_success
    assert get(app, "/models", X_API_Key=SECRET).is_success
    assert get(app, "/models", Authorization="Basic YTpi", X_API_Key=SECRET).is_success
    problem = get(app, "/models")
    assert problem.headers["Content-Type"] == "application/problem+json"
    assert problem.json()["type"] == "urn:keras-archs:problem:unauthenticated"
    for path in ("/v1/models/tiny", "/v2/models/tiny"):
        assert get(app, path).json() == {"error": problem.json()["detail"]}


def test_no_wrong_unknown_double_or_revoked_key_can_be_told_from_another(
    gateway: Callable[..., FastAPI], stored: Path
) -> None:
    revoked = keys.new_secret()
    app = gateway(keys=stored)
    tries: list[dict[str, str]] = [
        {},
        {"X-API-Key": ""},
        {"X-API-Key": revoked},
        {"X-API-Key": SECRET[:-1]},
        {"X-API-Key": SECRET.upper()},
        {"X-API-Key": "\t\x7f"},
        {"X-API-Key": "k" * 10_000},
        {"Authorization": SECRET},
        {"Authorization": f"Bearer {SECRET}, Bearer {SECRET}"},
        {"Authorization": f"Bearer {SECRET}", "X-API-Key": SECRET},
        {"Authorization": f"Bearer {SECRET}", "X-API-Key": revoked},
        {"Authorization": "Bearer ' OR 1=1 --"},
    ]
    seen = set()
    for answer in answers(app, *[("GET", "/models", headers) for headers in tries]):
        assert answer.status_code == 401
        seen.add((answer.json()["detail"], answer.headers["Content-Length"], tuple(sorted(answer.headers))))
    assert len(seen) == 1


def test_wrong_keys_are_refused_sooner_after_twenty(gateway: Callable[..., FastAPI], stored: Path) -> None:
    app = gateway(keys=stored)
    requests = [("GET", "/models", {"X-API-Key": f"guess {number}"}) for number in range(60)]
    *_, last, known = answers(app, *requests, ("GET", "/models", {"X-API-Key": SECRET}))
    assert last.status_code == 429
    assert 1 <= int(last.headers["Retry-After"]) <= 60
    assert known.is_success


def test_a_key_for_other_models_gets_403_before_the_body_is_read_whether_the_model_exists_or_not(
    gateway: Callable[..., FastAPI], stored: Path
) -> None:
    app, key = gateway(keys=stored), {"X-API-Key": TINY}
    paths = ("/classify/other", "/explain/other", "/v1/models/other:predict", "/v2/models/other/infer")
    asked = [("POST", path, key) for path in paths]
    for answer in answers(app, *asked, ("GET", "/models/other", key), ("GET", "/models/other/versions", key)):
        assert answer.status_code == 403
        assert "tiny-only may not use other" in answer.text
    for answer in answers(app, ("POST", "/classify/tiny", key), ("GET", "/models/tiny", key)):
        assert answer.status_code == 404  # allowed, but not published here
    assert get(app, "/models", X_API_Key=TINY).json() == []
    assert get(app, "/metrics", X_API_Key=TINY).status_code == 403
    assert get(app, "/metrics", X_API_Key=SECRET).is_success


def test_a_keys_limit_is_told_with_every_answer_and_kept(gateway: Callable[..., FastAPI], stored: Path) -> None:
    app, key = gateway(keys=stored), {"X-API-Key": LIMITED}
    first, _, third, refused = answers(app, *[("GET", "/models", key)] * 4)
    policy = '"requests";q=3;w=60, "bytes";q=1000;w=60;qu="content-bytes"'
    assert first.headers["RateLimit-Policy"] == policy
    assert first.headers["RateLimit"] == '"requests";r=2;t=20, "bytes";r=1000;t=0'
    assert third.headers["RateLimit"].startswith('"requests";r=0;t=60')
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "20"
    assert refused.headers["RateLimit-Policy"] == policy
    assert refused.json()["type"] == "urn:keras-archs:problem:rate-limited"
    assert "RateLimit" not in get(app, "/models", X_API_Key=SECRET).headers


def test_bytes_of_bodies_are_limited_whether_their_length_is_declared_or_not(
    gateway: Callable[..., FastAPI], tmp_path: Path
) -> None:
    async def parts() -> Any:
        for _ in range(10):
            yield b"x" * 200

    async def send() -> list[int]:
        statuses = []
        for content in (b"x" * 2000, parts()):
            app = gateway(mb_per_minute=0.001)
            app.router.add_route("/read", _read, methods=["POST"])
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                for body in (content, b"x"):
                    statuses.append((await client.post("/read", content=body)).status_code)
        return statuses

    assert asyncio.run(send()) == [200, 429, 429, 429]


async def _read(request: Request) -> Response:
    await request.body()
    return Response()


def test_without_keys_each_address_has_its_limit_and_health_is_never_limited(gateway: Callable[..., FastAPI]) -> None:
    app = gateway(requests_per_minute=1)
    ok, refused, page, health = answers(app, *[("GET", path, {}) for path in ("/models", "/models", "/", "/healthz")])
    assert [answer.status_code for answer in (ok, refused, page, health)] == [200, 429, 200, 200]


@pytest.mark.parametrize(
    ("proxies", "forwarded", "statuses"),
    [
        ((), ["203.0.113.1", "203.0.113.2"], [200, 429]),
        (("198.51.100.0/24",), ["203.0.113.1", "203.0.113.2"], [200, 429]),
        (("192.0.2.1",), ["203.0.113.1", "203.0.113.2"], [200, 200]),
        (("192.0.2.0/24",), ["203.0.113.1", "203.0.113.1"], [200, 429]),
        # what a client writes itself is further left than what the proxy adds
        (("192.0.2.1",), ["10.0.0.1, 203.0.113.1", "10.0.0.2, 203.0.113.1"], [200, 429]),
        (("192.0.2.1", "10.0.0.0/8"), ["203.0.113.1, 10.0.0.1", "203.0.113.2, 10.0.0.1"], [200, 200]),
    ],
)
def test_an_address_is_believed_from_trusted_proxies_only(
    gateway: Callable[..., FastAPI], proxies: tuple[str, ...], forwarded: list[str], statuses: list[int]
) -> None:
    app = gateway(requests_per_minute=1, trusted_proxies=proxies)
    got = answers(app, *[("GET", "/models", {"X-Forwarded-For": addresses}) for addresses in forwarded])
    assert [answer.status_code for answer in got] == statuses


def test_pages_of_other_origins_may_ask_only_where_a_setting_names_them(
    gateway: Callable[..., FastAPI], stored: Path
) -> None:
    origin = "https://example.org"
    preflight = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-api-key,content-type",
    }
    closed, named = gateway(keys=stored), gateway(keys=stored, cors_origins=(origin,))
    (refused,) = answers(closed, ("OPTIONS", "/classify/tiny", preflight))
    assert not [name for name in refused.headers if name.startswith("access-control")]
    (allowed,) = answers(named, ("OPTIONS", "/classify/tiny", preflight))
    assert allowed.is_success
    assert allowed.headers["Access-Control-Allow-Origin"] == origin
    (other,) = answers(named, ("OPTIONS", "/classify/tiny", preflight | {"Origin": "https://evil.example"}))
    assert "Access-Control-Allow-Origin" not in other.headers
    answer = get(named, "/models", Origin=origin)
    assert answer.status_code == 401  # the page can read why
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "Access-Control-Allow-Origin" not in get(named, "/models", Origin="https://evil.example").headers


def test_metrics_and_docs_move_to_the_admin_port_and_need_no_key_there(
    gateway: Callable[..., FastAPI], stored: Path
) -> None:
    app = gateway(keys=stored, admin_port=9000)
    for path in ("/metrics", "/docs", "/openapi.json"):
        elsewhere, there = (
            answers(app, ("GET", path, {"X-API-Key": SECRET}), server=f"http://gateway{port}")[0]
            for port in ("", ":9000")
        )
        assert (elsewhere.status_code, there.status_code) == (404, 200)
    (models,) = answers(app, ("GET", "/models", {}), server="http://gateway:9000")
    assert models.status_code == 401


def test_no_key_is_in_logs_metrics_or_answers(
    gateway: Callable[..., FastAPI], stored: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = gateway(keys=stored, log_level="debug")
    wrong = keys.new_secret()
    with caplog.at_level(logging.DEBUG):
        got = answers(
            app,
            ("POST", "/classify/tiny", {"X-API-Key": SECRET}),
            ("POST", "/classify/tiny?top_k=x", {"X-API-Key": SECRET, "Content-Type": SECRET}),
            ("POST", "/classify/tiny", {"Authorization": f"Bearer {wrong}"}),
            ("GET", "/models", {"Authorization": f"Bearer {wrong}", "X-API-Key": SECRET}),
            ("GET", "/metrics", {"X-API-Key": SECRET}),
        )
    texts = [caplog.text, *(answer.text + str(answer.headers) for answer in got)]
    for secret in (SECRET, wrong, keys.sha256_of(SECRET), keys.sha256_of(wrong)):
        assert not any(secret in text for text in texts)
    assert list(text_string_to_metric_families(got[-1].text))


def test_the_openapi_document_says_how_to_send_a_key(gateway: Callable[..., FastAPI], stored: Path) -> None:
    document = gateway(keys=stored).openapi()
    assert document["security"] == [{"bearer": []}, {"key": []}]
    assert {"401", "403", "429"} <= document["paths"]["/models"]["get"]["responses"].keys()
    assert "security" not in gateway().openapi()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"host": "0.0.0.0"}, r"on 0\.0\.0\.0, other hosts could use the gateway without a key"),
        ({"host": "::"}, "--keys"),
        ({"host": "gateway.example"}, "--no-auth"),
        ({"admin_port": 8081, "admin_host": "0.0.0.0"}, r"on 0\.0\.0\.0, other hosts could use"),
        ({"keys": Path("keys.json"), "no_auth": True}, "set one of them"),
        ({"jwt_issuer": "https://issuer.example"}, "missing: jwt_audience, jwt_keys"),
        ({"jwt_models_claim": "models"}, "missing: jwt_issuer, jwt_audience, jwt_keys"),
        ({"jwt_issuer": "i", "jwt_audience": "a", "jwt_keys": ""}, "missing: jwt_keys"),
        ({"host": "0.0.0.0", "jwt_issuer": "", "jwt_audience": "", "jwt_keys": ""}, "could use the gateway"),
        (
            {"jwt_issuer": "i", "jwt_audience": "a", "jwt_keys": "http://issuer.example/keys"},
            "begins with https://",
        ),
        ({"tls_key": Path("key.pem")}, "set both tls_certificate and tls_key"),
        ({"trusted_proxies": "10.0.0.1/8"}, "host bits"),
        ({"trusted_proxies": "*"}, "does not appear to be an IPv4 or IPv6 network"),
        ({"cors_origins": "*"}, r"an origin is a scheme and a host"),
        ({"cors_origins": "https://example.org/path"}, r"an origin is a scheme and a host"),
    ],
)
def test_settings_that_would_let_strangers_in_by_mistake_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Settings(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"host": "127.0.0.2"},
        {"host": "::1"},
        {"host": "localhost"},
        {"host": "0.0.0.0", "no_auth": True},
        {"admin_host": "0.0.0.0"},
        {"admin_port": 8081, "admin_host": "0.0.0.0", "keys": Path("keys.json")},
        {"host": "0.0.0.0", "keys": Path("keys.json")},
        {"host": "0.0.0.0", "jwt_issuer": "i", "jwt_audience": "a", "jwt_keys": "https://issuer.example/keys"},
        {"trusted_proxies": "10.0.0.0/8, ::1"},
        {"cors_origins": "https://example.org, http://localhost:3000,https://[::1]:8000"},
    ],
)
def test_a_loopback_address_or_a_decision_is_enough_to_start(settings: dict[str, Any]) -> None:
    assert re.fullmatch(r"[\w.:]+", Settings(**settings).host)
