"""Tokens of an identity provider: only those that it signed, for this gateway, and at this time."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from serving.core import tokens
from serving.core.access import Caller
from serving.core.tokens import LEEWAY_SECONDS, Tokens

ISSUER, AUDIENCE = "https://issuer.example", "gateway"
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"})
STRANGER = RSAKey.generate_key(2048, {"kid": "rsa"})


class CarelessRegistry(JWSRegistry):
    """Signs whatever is in the header."""

    def check_header(self, header: Any) -> None: ...


def key_set(*keys: Any) -> bytes:
    return json.dumps(KeySet(list(keys)).as_dict(private=False)).encode()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "jwks.json"
    path.write_bytes(key_set(RSA, EC, ED))
    return path


def accepting(source: object, **options: Any) -> Tokens:
    chosen = {"issuer": ISSUER, "audience": AUDIENCE, "models_claim": None, "poll_seconds": 0.01} | options
    return Tokens(keys=str(source), **chosen)


def token(key: Any = RSA, algorithm: str = "RS256", header: dict[str, Any] | None = None, **changes: Any) -> str:
    """Sign a token that is valid but for the changes; a claim that is None is left out."""
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "exp": int(time.time()) + 600} | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    head = {"alg": algorithm, "kid": key.kid} | (header or {})
    return jwt.encode(head, claims, key, registry=CarelessRegistry(algorithms=[algorithm]))


def part(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def hmac_of(signed: str, secret: bytes) -> str:
    """Sign with a shared secret, for which a careless verifier would take a public key."""
    digest = hmac.digest(signed.encode(), secret, "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def caller_of(accepted: Tokens, credential: str) -> Caller | None:
    return asyncio.run(accepted.verify(credential))


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (RSA, "PS256"), (EC, "ES256"), (ED, "Ed25519")])
def test_a_token_of_the_issuer_names_its_subject_and_is_remembered(source: Path, key: Any, algorithm: str) -> None:
    accepted, credential = accepting(source), token(key, algorithm)
    assert accepted.known(credential) is None
    caller = caller_of(accepted, credential)
    assert caller == Caller("token:ada", None)
    assert accepted.known(credential) == caller


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://other.example"},
        {"iss": None},
        {"aud": "other"},
        {"aud": ["other", "another"]},
        {"aud": None},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": 1},
        {"exp": int(time.time()) - LEEWAY_SECONDS - 5},
        {"nbf": int(time.time()) + 86_400},
        {"iat": int(time.time()) + 86_400},
        {"sub": None},
        {"sub": ""},
        {"sub": "a\nb"},
        {"sub": "a" * 300},
    ],
)
def test_a_token_whose_claims_are_wrong_is_not_valid(source: Path, changes: dict[str, Any]) -> None:
    accepted, credential = accepting(source), token(**changes)
    assert caller_of(accepted, credential) is None
    assert accepted.known(credential) is None


def test_one_of_several_audiences_and_clocks_that_differ_a_little_are_fine(source: Path) -> None:
    assert caller_of(accepting(source), token(aud=["other", AUDIENCE]))
    assert caller_of(accepting(source), token(exp=int(time.time()) - 5))


def test_no_signature_but_the_issuers_counts(source: Path) -> None:
    accepted = accepting(source)
    head, payload, signature = token().split(".")
    unsigned = part({"alg": "none", "kid": "rsa"})
    forged = part({"iss": ISSUER, "aud": AUDIENCE, "sub": "admin", "exp": int(time.time()) + 600})
    for credential in (
        token(STRANGER),  # claims to be signed with the issuer's key
        hmac_of(f"{part({'alg': 'HS256', 'kid': 'rsa'})}.{payload}", RSA.as_pem(private=False)),
        hmac_of(f"{part({'alg': 'HS256', 'kid': 'rsa'})}.{payload}", b""),
        token(header={"jwk": STRANGER.as_dict(private=False)}, key=STRANGER),  # brings its own key
        token(header={"crit": ["unknown"], "unknown": 1}),  # says that who does not know a field must refuse it
        f"{unsigned}.{payload}.",
        f"{unsigned}.{payload}.{signature}",
        f"{head}.{forged}.{signature}",
        f"{head}.{payload}.",
        f"{head}.{payload}",
        "..",
        "",
    ):
        assert caller_of(accepted, credential) is None


@settings(deadline=None)  # the machine may be busy
@given(
    st.one_of(
        st.text(st.characters(max_codepoint=255), max_size=50),
        st.tuples(*[st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists, max_leaves=5)] * 3).map(
            lambda parts: ".".join(map(part, parts))
        ),
        st.dictionaries(st.sampled_from(["alg", "kid", "crit", "b64", "typ", "x5c"]), st.text(max_size=5)).map(
            lambda header: f"{part(header)}.{part({})}.AAAA"
        ),
    )
)
def test_anything_else_is_no_token(source: Path, credential: str) -> None:
    assert caller_of(accepting(source), credential) is None


def test_a_deeply_nested_or_huge_token_is_no_token(source: Path) -> None:
    accepted, deep = accepting(source), base64.urlsafe_b64encode(b"[" * 11_000).decode().rstrip("=")
    head, payload, signature = token().split(".")
    for credential in (f"{deep}.{payload}.{signature}", f"{head}.{deep}.{signature}", token(more="x" * 20_000)):
        assert caller_of(accepted, credential) is None


@pytest.mark.parametrize(
    ("claim", "models"),
    [
        (["a", "b"], {"a", "b"}),
        ("a b", {"a", "b"}),
        ("*", None),
        (["a", "*"], None),
        ([], set()),
        (None, set()),
        (7, set()),
        ({"*": 1}, set()),
        (["a", 7, ["*"]], {"a"}),
    ],
)
def test_a_claim_may_say_which_models_a_token_may_use(source: Path, claim: object, models: set[str] | None) -> None:
    caller = caller_of(accepting(source, models_claim="models"), token(models=claim))
    assert caller
    assert caller.models == models


def test_a_remembered_token_expires(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accepted, credential = accepting(source), token()
    caller_of(accepted, credential)
    later = time.time() + 600 + LEEWAY_SECONDS + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert accepted.known(credential) is None


class Issuer:
    """An issuer's key set at an address."""

    def __init__(self) -> None:
        self.content, self.status, self.asked = key_set(RSA), 200, 0
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                self.send_response(issuer.status)
                self.end_headers()
                self.wfile.write(issuer.content)

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/keys"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    thread = threading.Thread(target=issuer.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield issuer
    issuer.server.shutdown()
    thread.join()
    issuer.server.server_close()


def test_a_new_key_of_the_issuer_is_found_when_a_token_names_it(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "_LEAST_PAUSE", 0.0)

    async def rotate() -> None:
        accepted = accepting(issuer.address)
        accepted.start()
        old, new = token(), token(EC, "ES256")
        assert await accepted.verify(old)
        assert await accepted.verify(new) is None
        issuer.content = key_set(EC)
        assert await accepted.verify(new)
        assert accepted.known(old) is None  # its key was withdrawn
        assert await accepted.verify(old) is None
        await accepted.close()

    asyncio.run(rotate())


def test_tokens_that_name_unknown_keys_do_not_flood_the_issuer(issuer: Issuer) -> None:
    async def flood() -> None:
        accepted = accepting(issuer.address)
        accepted.start()
        for number in range(50):
            unknown = token(header={"kid": f"key {number}"})
            assert await asyncio.gather(*[accepted.verify(unknown) for _ in range(3)]) == [None] * 3
        assert await accepted.verify(token())
        await accepted.close()

    asyncio.run(flood())
    assert issuer.asked <= 2


@pytest.mark.parametrize(("status", "content"), [(500, b""), (302, b""), (200, b"no JSON"), (200, b'{"keys": []}')])
def test_keys_stay_valid_while_the_issuer_is_in_trouble(issuer: Issuer, status: int, content: bytes) -> None:
    async def trouble() -> None:
        accepted = accepting(issuer.address)
        await accepted.reload()
        issuer.status, issuer.content = status, content
        await accepted.reload()
        assert await accepted.verify(token())

    asyncio.run(trouble())


def test_a_gateway_starts_while_the_issuer_is_away_and_accepts_tokens_when_it_is_back(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "_LEAST_PAUSE", 0.0)
    issuer.status = 503

    async def come_back() -> None:
        accepted = accepting(issuer.address)
        accepted.start()
        assert await accepted.verify(token()) is None
        issuer.status = 200
        assert await accepted.verify(token())
        await accepted.close()

    asyncio.run(come_back())


def test_a_file_of_keys_is_read_again_and_must_be_whole_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_text("{}")
    with pytest.raises(ValueError, match="no JSON Web Key Set"):
        accepting(path)
    path.write_bytes(key_set(RSA))

    async def replace() -> None:
        accepted = accepting(path)
        path.write_bytes(key_set(EC))
        await accepted.reload()
        assert await accepted.verify(token(EC, "ES256"))

    asyncio.run(replace())
