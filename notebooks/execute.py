"""Execute notebooks in place, all of them by default: python -m notebooks.execute [FILE...]."""

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).parent
NOTEBOOKS = tuple(sorted(FOLDER.glob("[0-9]*.ipynb")))
SETTINGS = "NOTEBOOK_SETTINGS"
"""The environment variable that notebooks read: "small" for the same steps on less data."""


def execute(notebook: NotebookNode, folder: Path, *, small: bool) -> None:
    """Run all cells in a new kernel and keep what they print and draw in the notebook.

    Args:
        notebook: The notebook; its outputs are replaced.
        folder: Where its cells run.
        small: Whether to train on little and for short, as the tests do.

    Raises:
        nbclient.exceptions.CellExecutionError: If a cell fails; the message has its traceback.
    """
    client = NotebookClient(
        notebook,
        timeout=1800,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        coalesce_streams=True,
        record_timing=False,  # what was executed when is no part of the text
        # What TensorFlow's libraries log while they are loaded goes to the terminal.
        extra_arguments=["--IPKernelApp.capture_fd_output=False"],
    )
    settings = {SETTINGS: "small" if small else "full", "TF_CPP_MIN_LOG_LEVEL": "3"}
    client.execute(env={**os.environ, **settings})
    notebook.metadata.pop("language_info", None)  # the version of whoever executed it


def main(paths: list[Path]) -> None:
    """Execute these notebooks with full settings, and write each as soon as it is done."""
    for path in paths:
        print(path.name, flush=True)
        notebook = nbformat.read(path, as_version=4)
        execute(notebook, path.parent, small=False)
        nbformat.write(notebook, path)


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]] or list(NOTEBOOKS))
