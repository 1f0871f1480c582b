"""Execute notebooks in place, by default all: ``python -m notebooks.execute [FILE...]``."""

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).parent
NOTEBOOKS = tuple(sorted(FOLDER.glob("[0-9]*.ipynb")))
SETTINGS = "NOTEBOOK_SETTINGS"
"""Environment variable that notebooks read: "small" for the same steps on less data."""


def execute(notebook: NotebookNode, folder: Path, *, small: bool) -> None:
    """Run all cells in a new kernel and store their outputs in the notebook.

    Args:
        notebook: Notebook to execute; its outputs are replaced.
        folder: Working directory of the kernel.
        small: Whether to train on little data for few epochs, as the tests do.

    Raises:
        nbclient.exceptions.CellExecutionError: If a cell fails; the message has its traceback.
    """
    client = NotebookClient(
        notebook,
        timeout=1800,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        coalesce_streams=True,
        record_timing=False,  # execution times would change the file on every run
        # What TensorFlow's libraries log while they load must not become an output of a cell.
        extra_arguments=["--IPKernelApp.capture_fd_output=False"],
    )
    settings = {SETTINGS: "small" if small else "full", "TF_CPP_MIN_LOG_LEVEL": "3"}
    client.execute(env={**os.environ, **settings})
    notebook.metadata.pop("language_info", None)  # has the Python version of this machine


def main(paths: list[Path]) -> None:
    """Execute notebooks with full settings and write each as soon as it has finished.

    Args:
        paths: Files of the notebooks.
    """
    for path in paths:
        print(path.name, flush=True)
        notebook = nbformat.read(path, as_version=4)
        execute(notebook, path.parent, small=False)
        nbformat.write(notebook, path)


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]] or list(NOTEBOOKS))
