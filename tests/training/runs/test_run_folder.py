"""The folder of a run: a number of its own, and one process at a time."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from keras_archs.training.runs.run_folder import RunFolder
from keras_archs.training.runs.state import RunState
from tests.support.runs import a_config


def test_a_run_gets_the_next_number(tmp_path: Path) -> None:
    for existing in ("flowers-3", "flowers-9x", "other-7", "flowers-2"):
        (tmp_path / existing).mkdir()
    assert RunFolder.create(tmp_path, a_config()).name == "flowers-4"
    assert RunFolder.create(tmp_path, a_config()).name == "flowers-5"


def test_runs_that_begin_at_once_get_folders_of_their_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as executor:
        names = {folder.name for folder in executor.map(lambda _: RunFolder.create(tmp_path, a_config()), range(20))}
    assert len(names) == 20


def test_a_new_run_has_its_configuration_and_an_id_of_its_own(tmp_path: Path) -> None:
    first, second = (RunFolder.create(tmp_path, a_config()) for _ in range(2))
    assert first.config == a_config()
    assert (first.state.status, first.state.trained) == ("running", False)
    assert first.state.id != second.state.id


def test_changes_of_the_state_keep_the_rest(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, a_config())
    before = folder.state
    folder.update(trained=True, stopped="time limit")
    assert folder.state == RunState(id=before.id, trained=True, stopped="time limit")


@pytest.mark.parametrize("content", ["", "{", '{"id": "1", "colour": "red"}'])
def test_a_damaged_state_is_refused(tmp_path: Path, content: str) -> None:
    folder = RunFolder.create(tmp_path, a_config())
    (folder.path / "state.json").write_text(content)
    with pytest.raises(ValueError, match=r"state\.json is damaged.*--config"):
        _ = folder.state


def test_a_folder_without_a_configuration_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is no folder of a run: it has no config\.yaml"):
        RunFolder.existing(tmp_path)


def test_a_run_is_in_use_until_its_process_is_killed(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, a_config())
    program = (
        "import sys\nfrom pathlib import Path\nfrom keras_archs.training.runs.run_folder import RunFolder\n"
        "with RunFolder(Path(sys.argv[1])).locked():\n    print('locked', flush=True)\n    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(folder.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(ValueError, match="flowers-1 is in use: another process trains there"), folder.locked():
            pass
        other.send_signal(signal.SIGKILL)
        other.wait(30)
    with folder.locked():
        pass
