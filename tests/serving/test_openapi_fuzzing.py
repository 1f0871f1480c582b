"""The gateway keeps what its OpenAPI document promises, whatever is sent: schemathesis generates the requests.

It starts from the document's examples, from the edges of each schema, and at random, with data that the document allows
and data that it does not, alone and in sequences. schemathesis.toml has the exceptions and their reasons.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from keras_archs import keys
from serving.app import create_app
from serving.settings import Settings
from tests.support.gateway import running_gateway

COMMAND = Path(sys.executable).with_name("schemathesis")
CONFIG = Path(__file__).with_name("schemathesis.toml")
SEED = 1
CREATED = datetime(2026, 1, 1, tzinfo=UTC)
ALL = ".*"
SOME = r"^/(classify/tiny|models/\{model\}|v1/models/\{model\}:predict|v2/models/\{model\}/infer)$"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, constant_classifier: Callable[[Path, int], Path]) -> Path:
    folder = tmp_path_factory.mktemp("documented") / "models"
    constant_classifier(folder, 1)
    return folder


@pytest.mark.parametrize(
    ("paths", "examples", "least"),
    [(SOME, 1, 200), pytest.param(ALL, 5, 5000, marks=[pytest.mark.fuzz, pytest.mark.timeout(2000)])],
    ids=["some", "all"],
)
def test_every_answer_is_one_that_the_document_promises(
    repository: Path, tmp_path: Path, paths: str, examples: int, least: int
) -> None:
    with running_gateway(repository, tmp_path / "log", "--preload", "tiny") as gateway:
        command: list[str | Path] = [
            *(COMMAND, "--config-file", CONFIG, "run", f"http://127.0.0.1:{gateway.port}/openapi.json"),
            *("--include-path-regex", paths, "--checks", "all", "--max-examples", str(examples)),
            *("--seed", str(SEED), "--no-shrink", "--continue-on-failure"),
        ]
        done = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True, timeout=1800)
        logged = gateway.logged()
    assert done.returncode == 0, done.stdout + done.stderr
    generated = re.search(r"(\d+) generated", done.stdout)
    assert generated
    print(generated[0])
    assert int(generated[1]) >= least
    assert not re.search("Traceback| ERROR ", logged)


def test_the_document_describes_pairs_so_that_all_generators_understand_them(tmp_path: Path) -> None:
    document = create_app(Settings(repository=tmp_path)).openapi()
    assert "prefixItems" not in json.dumps(document)
    size = document["components"]["schemas"]["InputOut"]["properties"]["size"]
    assert (size["items"], size["minItems"], size["maxItems"]) == ({"type": "integer"}, 2, 2)


def test_the_document_says_which_paths_need_a_key(repository: Path, tmp_path: Path) -> None:
    key = keys.new_secret()
    keys.add(tmp_path / "keys.json", "tests", keys.Key(keys.sha256_of(key), (keys.EVERY_MODEL,), CREATED))
    with running_gateway(repository, tmp_path / "log", "--keys", str(tmp_path / "keys.json")) as gateway:
        document = gateway.client.get("/openapi.json", headers={"X-API-Key": key}).json()
        assert document["security"]
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                answer = gateway.client.request(method, re.sub(r"\{\w+\}", "1", path))
                needs_a_key = operation.get("security") != []
                assert (answer.status_code == 401) == needs_a_key, f"{method} {path}"
