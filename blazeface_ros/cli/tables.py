"""Options, tables, files and progress bars, as several verbs need them."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from blazeface_ros.core.compressed import MOST_PIXELS, MOST_PIXELS_OF_OPENCV
from blazeface_ros.errors import ConfigurationError, describe_file_error, quoted
from blazeface_ros.lab.parity import Difference
from blazeface_ros.models.catalogue import shared_file
from blazeface_ros.recordings.media import read_picture

#: The columns of the table of differences.
HEADER = ('', 'inputs', 'output', 'max', 'mean', 'at faces', 'share', '')


def bundled_pictures() -> list[npt.NDArray[np.uint8]]:
    """Read the pictures that the package ships, uint8 [H, W, 3] bgr each.

    There are fewer than two if the package is not installed completely.
    """
    files = (shared_file(f'pictures/{name}') for name in ('astronaut.png', 'scene.jpg'))
    return [read_picture(file) for file in files if file is not None]


def add_picture_limit(parser: argparse.ArgumentParser) -> None:
    """Add the option `--max-image-pixels` to a verb that reads pictures of the user."""
    parser.add_argument(
        '--max-image-pixels',
        type=_pixels,
        default=MOST_PIXELS,
        metavar='PIXELS',
        help='largest picture to decode, as its width times its height; larger ones are refused '
        f'(default: {MOST_PIXELS})',
    )


def _pixels(text: str) -> int:
    if not re.fullmatch(r'[1-9][0-9]{0,9}', text) or int(text) > MOST_PIXELS_OF_OPENCV:
        raise argparse.ArgumentTypeError(
            f'{quoted(text)} is not a whole number from 1 to {MOST_PIXELS_OF_OPENCV}'
        )
    return int(text)


def check_outputs(json_file: Path | None, plot: Path | None) -> None:
    """Check before the long work that its results can be written.

    Args:
        json_file: the file of the option --json.
        plot: the file of the option --plot.

    Raises:
        ConfigurationError: if the folder of a file does not exist, the plot's name does not end
            with .png, or matplotlib is not installed.
    """
    for option, file in (('json', json_file), ('plot', plot)):
        if file is not None:
            _check_output(f'--{option} {quoted(file)}', file)
    if plot is not None:
        if plot.suffix.lower() != '.png':
            raise ConfigurationError(f"--plot {quoted(plot)}: the file's name must end with .png")
        if importlib.util.find_spec('matplotlib') is None:
            raise ConfigurationError('--plot needs matplotlib: pip install matplotlib')


def _check_output(name: str, file: Path) -> None:
    try:
        is_folder = stat.S_ISDIR(file.stat().st_mode)
        writable = os.access(file, os.W_OK)
    except (FileNotFoundError, NotADirectoryError):
        is_folder = False
        if not os.path.isdir(file.parent):
            raise ConfigurationError(f'{name}: there is no such folder; make it first') from None
        writable = os.access(file.parent, os.W_OK)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f'{name} {describe_file_error(error, "written")}') from error
    if is_folder:
        raise ConfigurationError(f"{name} is a folder; it must be a file's name")
    if not writable:
        raise ConfigurationError(f'{name} cannot be written: you may not write there')


def write_json(file: Path, report: dict[str, Any]) -> None:
    """Write the file of the option --json.

    Raises:
        ConfigurationError: if it cannot be written.
    """
    try:
        file.write_text(json.dumps(report, indent=1) + '\n', encoding='utf-8')
    except OSError as error:
        problem = describe_file_error(error, 'written')
        raise ConfigurationError(f'--json {quoted(file)} {problem}') from error


def save_plot(figure: Any, file: Path) -> None:
    """Write the file of the option --plot.

    Args:
        figure: a `matplotlib.figure.Figure`.
        file: a name that ends with .png.

    Raises:
        ConfigurationError: if it cannot be written.
    """
    try:
        figure.savefig(file, dpi=150)
    except OSError as error:
        problem = describe_file_error(error, 'written')
        raise ConfigurationError(f'--plot {quoted(file)} {problem}') from error


@contextlib.contextmanager
def progress_bar(total: int) -> Iterator[Callable[[], object]]:
    """Show a progress bar on a terminal, if tqdm is installed.

    Args:
        total: the number of steps.

    Yields:
        A function to call after each step.
    """
    if not sys.stderr.isatty() or importlib.util.find_spec('tqdm') is None:
        yield lambda: None
        return
    from tqdm import tqdm

    with tqdm(total=total, leave=False) as progress:
        yield progress.update


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of equally many cells in aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print('  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def print_differences(
    differences: Sequence[Difference], tolerance: float, at_faces: float | None = None
) -> int:
    """Print a table of differences.

    Args:
        differences: the rows of the table.
        tolerance: see `Difference.within`.
        at_faces: see `Difference.within`.

    Returns:
        The exit code: 1 if a difference is above the tolerance, else 0.
    """
    if not differences:
        return 0
    rows: list[tuple[str, ...]] = [HEADER]
    beyond = 0
    for difference in differences:
        within = difference.within(tolerance, at_faces)
        beyond += not within
        faces = '-' if difference.at_faces is None else f'{difference.at_faces:.1e}'
        numbers = (difference.largest, difference.mean)
        rows.append(
            (
                *(difference.what, difference.inputs, difference.output),
                *(f'{number:.1e}' for number in numbers),
                *(faces, f'{difference.share:.1e}', '' if within else 'above'),
            )
        )
    print_table(rows)
    limits = '(at faces, and as a share of the largest value)'
    if at_faces is not None:
        limits = f'as a share of the largest value, and of {at_faces:g} at faces'
    print(f'{beyond or "none"} above the tolerance of {tolerance:.0e} {limits}')
    return int(bool(beyond))
