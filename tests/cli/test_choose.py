"""`keras-archs choose`: latencies are made up, but for one test that measures the smallest network."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from keras_archs.analysis import latency, network_latency
from keras_archs.analysis.latency import Latency
from keras_archs.cli.app import run
from tests.support.command_line import Captured, failure

SMALL = ["choose", "--max-macs", "42M"]
"""Four MobileNets, of which each is more accurate and slower than the one before."""
FOUR = ["mobilenet-0.25-128", "mobilenet-0.25-160", "mobilenet-0.25-192", "mobilenet-0.25-224"]


@pytest.fixture(autouse=True)
def keras_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras"


class Machine:
    """A machine whose time depends on the image size alone, and the networks that it measured."""

    def __init__(self) -> None:
        self.measured: list[str] = []
        self.interrupted_at: str | None = None
        self.waited = 0.0
        self.convolutions = 0.01  # milliseconds
        self.has_bfloat16 = False

    def build(self, name: str, /, *, input_shape: tuple[int, int, int], **arguments: object) -> SimpleNamespace:
        return SimpleNamespace(name=name, side=input_shape[0])

    def measure(self, model: SimpleNamespace, *, threads: int, arithmetic: str) -> Latency:
        if model.name == "convolutions":
            return self.latency(self.convolutions)
        if model.name == self.interrupted_at:
            raise KeyboardInterrupt
        self.measured.append(model.name)
        return self.latency(model.side**2 / 10_000 / threads / {"f32": 1, "bf16": 2}[arithmetic])

    def latency(self, median: float) -> Latency:
        return Latency("openvino", 1, median, 0.9 * median, 1.1 * median, 1.2 * median, self.waited)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(network_latency, "create_model", machine.build)
    monkeypatch.setattr(network_latency, "measure_latency", machine.measure)
    monkeypatch.setattr(network_latency, "_convolutions", lambda: SimpleNamespace(name="convolutions"))
    monkeypatch.setattr(network_latency, "give_back_memory", lambda: None)
    monkeypatch.setattr("keras.backend.clear_session", lambda: None)
    monkeypatch.setattr(
        latency, "arithmetic_for", lambda precision: "bf16" if machine.has_bfloat16 and precision != "f32" else "f32"
    )
    return machine


def test_the_table_has_the_front_and_the_best_network(machine: Machine, capsys: Captured) -> None:
    assert run([*SMALL, "--threads", "2"]) == 0
    headings, *lines = capsys.readouterr().out.splitlines()
    assert headings.split() == [
        *("model", "weights", "best", "top-1", "ms", "quartiles", "input", "parameters", "macs", "licence")
    ]
    assert [line.split()[0] for line in lines[:4]] == FOUR
    assert lines[3].split() == [
        *("mobilenet-0.25-224", "keras", "*", "49.8", "%", "2.51", "2.26", "to", "2.76", "224x224"),
        *("475,544", "41,030,272", "Apache-2.0"),
    ]
    assert [line for line in lines if "*" in line] == [lines[3]]
    assert "ms: median for one image at a time in float32 on 2 threads; OpenVINO 2" in "\n".join(lines)


def test_the_time_is_that_of_a_gateway(machine: Machine, capsys: Captured) -> None:
    """An image on one thread, and in bfloat16 where the processor has it."""
    machine.has_bfloat16 = True
    assert run(SMALL) == 0
    text = capsys.readouterr().out
    assert [line.split()[4:6] for line in text.splitlines()[1:4]] == [
        ["0.82", "0.74"],
        ["1.28", "1.15"],
        ["1.84", "1.66"],
    ]
    assert "ms: median for one image at a time in bfloat16 on 1 thread; " in text
    assert "a gateway computes in float32, which takes longer, if the published weights" in text
    assert run([*SMALL, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["measured"]["arithmetic"] == "bf16"


def test_each_precision_is_measured_on_its_own(machine: Machine, capsys: Captured) -> None:
    machine.has_bfloat16 = True
    assert run(SMALL) == 0
    assert run([*SMALL, "--precision", "f32"]) == 0
    assert machine.measured == 2 * FOUR
    text = capsys.readouterr().out
    assert "in float32 on 1 thread" in text
    assert run([*SMALL, "--precision", "bf16"]) == 0
    assert machine.measured == 2 * FOUR


def test_the_command_that_publishes_the_best_network_can_be_pasted(machine: Machine, capsys: Captured) -> None:
    assert run([*SMALL, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["best"]["command"] == "keras-archs export mobilenet-0.25-224 --weights keras"
    assert run(SMALL) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"  {document['best']['command']}"
    _, *arguments = shlex.split(document["best"]["command"])
    assert arguments[1:] == [document["best"]["model"], "--weights", document["best"]["weights"]]


def test_the_json_document_says_what_was_measured_and_how(machine: Machine, capsys: Captured) -> None:
    assert run(["choose", "--max-latency", "1.7ms", "--max-macs", "42M", "--threads", "1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    measured = document["measured"]
    assert (measured["engine"], measured["arithmetic"]) == ("openvino", "f32")
    assert (measured["threads"], measured["batch"]) == (1, 1)
    assert measured["processor"]
    assert [row["model"] for row in document["front"]] == FOUR[:1]
    assert [row["model"] for row in document["beaten"]] == FOUR[1:]
    assert document["best"]["latency"] == {
        "median_ms": 1.638,
        "p25_ms": 1.475,
        "p75_ms": 1.802,
        "p90_ms": 1.966,
        "disturbed": False,
    }
    assert document["best"]["top1"]["source"]


def test_a_second_run_measures_nothing(machine: Machine, capsys: Captured) -> None:
    assert run(SMALL) == 0
    first = capsys.readouterr().out
    assert machine.measured == FOUR
    assert run(SMALL) == 0
    assert capsys.readouterr().out == first
    assert machine.measured == FOUR
    assert run([*SMALL, "--again"]) == 0
    assert machine.measured == 2 * FOUR


def test_an_interruption_loses_nothing(machine: Machine, capsys: Captured) -> None:
    machine.interrupted_at = FOUR[2]
    assert run(SMALL) == 130
    machine.interrupted_at = None
    assert run(SMALL) == 0
    assert machine.measured == FOUR


def test_other_bounds_exclude_networks_before_they_are_measured(machine: Machine, capsys: Captured) -> None:
    assert run(["choose", "--max-params", "0.5M", "--min-top1", "47"]) == 0
    assert machine.measured == FOUR[2:]


def test_a_network_that_its_multiply_adds_exclude_is_not_measured(machine: Machine, capsys: Captured) -> None:
    machine.convolutions = 12
    assert run(["choose", "--max-latency", "6ms", "--max-macs", "1G", "--min-top1", "77", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    left_out = {row["model"] for row in document["left_out"]}
    assert left_out
    assert not left_out & set(machine.measured)


def test_a_busy_machine_is_said(machine: Machine, capsys: Captured) -> None:
    machine.waited = 0.5
    assert run(SMALL) == 0
    warning = capsys.readouterr().err
    assert warning.startswith("warning: other programs used the processor while mobilenet-0.25-128:keras, ")
    assert "(4 of 4) were measured" in warning
    assert "--again" in warning


def test_weights_that_are_not_for_commercial_use_are_marked(machine: Machine, capsys: Captured) -> None:
    bounds = ["choose", "--max-params", "90M", "--min-top1", "84"]
    assert run(bounds) == 0
    assert "CC-BY-NC-4.0 (NOT FOR COMMERCIAL USE)" in capsys.readouterr().out
    assert run([*bounds, "--commercial"]) == 0
    assert "NOT FOR COMMERCIAL USE" not in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".png", ".html"])
def test_the_front_is_drawn(machine: Machine, capsys: Captured, tmp_path: Path, suffix: str) -> None:
    picture = tmp_path / f"choice{suffix}"
    assert run([*SMALL, "--max-latency", "100ms", "--plot", str(picture)]) == 0
    assert picture.stat().st_size > 5000
    if suffix == ".html":
        page = picture.read_text(encoding="utf-8")
        assert all(f"{name}:keras" in page for name in FOUR)
        assert "limit: 100 ms" in page
        assert "milliseconds for one image in float32 on 1 thread" in page


def test_invalid_options_are_refused(capsys: Captured) -> None:
    assert "at least one of --max-latency, --max-macs and --max-params" in failure(capsys, ["choose"])
    assert "at least one of" in failure(capsys, ["choose", "--min-top1", "70"])
    assert "a latency has a unit, e.g. 10ms or 0.5s; got '10'" in failure(capsys, ["choose", "--max-latency", "10"])
    assert "250ms, 90s, 10m" in failure(capsys, ["choose", "--max-latency", "fast"])
    assert "500M, 1.5G or 5e8, above 0; got 'few'" in failure(capsys, ["choose", "--max-macs", "few"])
    assert "Invalid value for '--min-top1'" in failure(capsys, ["choose", "--max-macs", "1G", "--min-top1", "0.75"])
    assert ".png, .svg, .pdf, .html" in failure(capsys, ["choose", "--max-macs", "1G", "--plot", "a.jpg"])


def test_an_impossible_budget_names_the_nearest_network(machine: Machine, capsys: Captured) -> None:
    assert "the nearest is mobilenet-0.25-128, which has 13,570,048 multiply-adds (limit 1,000,000)" in failure(
        capsys, ["choose", "--max-macs", "1M"]
    )
    assert machine.measured == []
    assert "the nearest is mobilenet-0.25-128, which has 1.64 ms (limit 0.1)" in failure(
        capsys, ["choose", "--max-latency", "0.1ms", "--threads", "1"]
    )


def test_the_smallest_network_is_measured_on_this_machine(capsys: Captured, keras_home: Path) -> None:
    """Without its weights, which are nowhere here; the second run does not load Keras."""
    assert run(["choose", "--max-macs", "14M", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["front"]
    assert row["model"] == "mobilenet-0.25-128"
    assert 0 < row["latency"]["p25_ms"] <= row["latency"]["median_ms"] <= row["latency"]["p75_ms"]
    assert len(list((keras_home / "keras_archs" / "latencies").iterdir())) == 2  # the network, and the convolution
    program = (
        "import sys\n"
        "from keras_archs.cli.app import run\n"
        "assert run(['choose', '--max-macs', '14M']) == 0\n"
        "print({'keras', 'tensorflow'} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "set()"
