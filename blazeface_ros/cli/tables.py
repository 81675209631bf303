"""What several verbs print."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from blazeface_ros.media import read_picture
from blazeface_ros.models.catalogue import shared_file
from blazeface_ros.models.parity import Difference

HEADER = ('', 'inputs', 'output', 'max', 'mean', 'at faces', 'share', '')


def bundled_pictures() -> list[npt.NDArray[np.uint8]]:
    """The pictures that the package ships, as many as are installed."""
    files = (shared_file(f'pictures/{name}') for name in ('astronaut.png', 'scene.jpg'))
    return [read_picture(file) for file in files if file is not None]


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of equally many cells in columns."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print('  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def print_differences(
    differences: Sequence[Difference], tolerance: float, at_faces: float | None = None
) -> int:
    """Print a table; 1 if anything in it is above the tolerances of `Difference.within`, else 0."""
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
