"""Nothing calls home: OpenVINO and NNCF are imported without their telemetry."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

WATCHED = """
import json, os, sys
seen = []
CALLS = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "urllib.Request"}
CHILDREN = {"os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system", "subprocess.Popen"}
HOME = os.environ["HOME"]

def watch(event, arguments):
    if event in CALLS | CHILDREN:
        seen.append(event)
    if event in {"open", "os.mkdir"} and str(arguments[0]).startswith(HOME):
        seen.append(f"{event} {arguments[0]}")

sys.addaudithook(watch)
exec(sys.argv[1])
print(json.dumps(seen))
"""

LOADERS = {
    "the runtime": "from keras_archs.runtimes.openvino_runtime import OpenVinoRuntime; OpenVinoRuntime()",
    "the gateway": """
from serving.app import create_app
from serving.settings import Settings
create_app(Settings())
""",
    "quantization": "import keras_archs.quantization.silent_nncf",
    "the command line": "from keras_archs.runtimes.local import installed_runtime; installed_runtime()",
}


def watched(code: str, home: Path) -> list[str]:
    # telemetry is off in continuous integration, so nothing may say that this is one
    environment = {name: value for name, value in os.environ.items() if name not in {"CI", "TF_BUILD", "JENKINS_URL"}}
    home.mkdir()
    child = subprocess.run(
        [sys.executable, "-c", WATCHED, code],
        env={**environment, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    seen: list[str] = json.loads(child.stdout.splitlines()[-1])
    return seen


@pytest.mark.parametrize("loader", LOADERS)
def test_loading_openvino_makes_no_connection_no_child_and_no_file(loader: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert watched(LOADERS[loader], home) == []
    assert list(home.iterdir()) == []


def test_the_telemetry_can_be_imported_afterwards(tmp_path: Path) -> None:
    code = "import keras_archs.runtimes.silent_openvino, openvino_telemetry; openvino_telemetry.Telemetry"
    assert watched(code, tmp_path / "home") == []


def test_every_module_imports_openvino_without_its_telemetry() -> None:
    root = Path(__file__).parents[2]
    importing = {
        path.relative_to(root).as_posix()
        for folder in ("keras_archs", "serving", "benchmarks")
        for path in (root / folder).rglob("*.py")
        if re.search(r"^\s*(import|from) openvino\b", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    other_servers = {"benchmarks/peers/classifier.py"}  # in an environment without this package's runtime
    assert importing - other_servers == {"keras_archs/runtimes/silent_openvino.py"}
