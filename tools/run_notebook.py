"""Runs notebooks with this very interpreter and writes their outputs into them.

Needs the extra `test`. Usage: run_notebook.py NOTEBOOK…
"""

import sys
import tempfile
from pathlib import Path

import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient


def execute(file: Path, folder: Path) -> nbformat.NotebookNode:
    """Run all cells, from the top, in a working directory.

    Returns:
        The notebook with its outputs, without messages on stderr, and without what would tell
        when and with which Python it ran.

    Raises:
        nbclient.exceptions.CellExecutionError: if a cell fails.
    """
    notebook = nbformat.read(file, as_version=4)
    # Without folders to look in, `python3` is the running interpreter, and no other environment's.
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
