"""Runs notebooks with the interpreter that runs this, and writes their outputs into them.

It needs the extra `test`.

Usage: run_notebook.py NOTEBOOK…
"""

import sys
import tempfile
from pathlib import Path

import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient


def execute(file: Path, folder: Path) -> nbformat.NotebookNode:
    """Run all cells from the top.

    Args:
        file: the notebook.
        folder: the working directory of the cells.

    Returns:
        The notebook with its outputs. Messages on stderr, times, and the version of Python are
        left out.

    Raises:
        nbclient.exceptions.CellExecutionError: if a cell fails.
    """
    notebook = nbformat.read(file, as_version=4)
    # Without any folder of kernels, `python3` is the running interpreter.
    specs = KernelSpecManager(kernel_dirs=[])
    NotebookClient(
        notebook,
        km=AsyncKernelManager(kernel_name='python3', kernel_spec_manager=specs),
        resources={'metadata': {'path': str(folder)}},
        record_timing=False,
        coalesce_streams=True,
        timeout=120,
    ).execute()
    notebook.metadata = {
        'kernelspec': {'display_name': 'Python 3', 'language': 'python', 'name': 'python3'},
        'language_info': {'name': 'python'},
    }
    for cell in notebook.cells:
        if cell.cell_type == 'code':
            cell.outputs = [output for output in cell.outputs if output.get('name') != 'stderr']
    return notebook


def main() -> None:
    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as folder:
            notebook = execute(Path(name), Path(folder))
        nbformat.write(notebook, name)
        print(f'{name}: {Path(name).stat().st_size:,} bytes')


if __name__ == '__main__':
    main()
