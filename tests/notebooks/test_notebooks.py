"""The lecture's notebooks run with small settings, and are committed with the outputs of full settings."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from notebooks.execute import FOLDER, NOTEBOOKS, execute
from tests.support.networks import FIXTURES

MAX_BYTES, MAX_PICTURE_BYTES = 700_000, 150_000

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> NotebookNode:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook: NotebookNode) -> list[NotebookNode]:
    return [output for cell in code(notebook) for output in cell.outputs]


def text(output: NotebookNode) -> str:
    return str(output.get("text", "")) + "".join(
        str(content) for kind, content in output.get("data", {}).items() if not kind.startswith("image/")
    )


@pytest.mark.slow
@each
def test_the_notebook_runs_and_its_assertions_hold(
    path: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The notebook's claims are assertions in its cells."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
    monkeypatch.setenv("KERAS_ARCHS_WEIGHTS", str(FIXTURES / "weights"))  # in place of a download
    notebook = read(path)
    assert any(
        line.startswith(("assert ", "    assert ")) for cell in code(notebook) for line in cell.source.split("\n")
    )
    execute(notebook, tmp_path, small=True)
    assert not [output for output in outputs(notebook) if output.get("name") == "stderr"]
    assert list(tmp_path.iterdir()) == [], "the notebook leaves files behind"


@each
def test_the_notebook_is_committed_with_outputs_of_moderate_size(path: Path) -> None:
    notebook = read(path)
    cells = code(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), "not executed in one run"
    pictures = [
        content
        for output in outputs(notebook)
        for kind, content in output.get("data", {}).items()
        if kind.startswith("image/")
    ]
    assert pictures
    assert max(len(picture) * 3 // 4 for picture in pictures) < MAX_PICTURE_BYTES
    assert path.stat().st_size < MAX_BYTES


@each
def test_the_outputs_do_not_reveal_the_machine(path: Path) -> None:
    """Outputs hold no errors, warnings, terminal colours or paths; metadata holds no names and no times."""
    notebook = read(path)
    assert set(notebook.metadata) == {"kernelspec"}
    assert notebook.metadata.kernelspec.name == "python3"
    assert not any(cell.metadata for cell in notebook.cells)
    for output in outputs(notebook):
        assert output.output_type in {"stream", "display_data", "execute_result"}
        assert output.get("name") != "stderr"
        assert not re.search(r"\x1b|/(tmp|home|root|usr|Users)/|[Ww]arning", text(output))


def test_the_index_lists_all_notebooks() -> None:
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\(([^)]+\.ipynb)\)", index) == [path.name for path in NOTEBOOKS]
    assert len(NOTEBOOKS) == 9
