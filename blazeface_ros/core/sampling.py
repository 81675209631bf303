"""From a tile of a frame into the network's input.

Coordinates go corner to corner as in MediaPipe's ImageToTensorCalculator: pixel i of the input
shows the frame at x0 + i * size / input_size. What lies outside of the frame is black.

One pass over the pixels that the input shows is all it takes, however large the frame is: the
frame is neither padded nor converted as a whole.

    frame                          view: the frame's pixels      input [S, S]
    +----------------------+       that the tile needs           +---------+
    |     tile             |       +------+                      |  black  |
    |    +------+          |  ──►  |      |  ──► remap, into ──► |---------|
    |    |      |          |       |      |      rows, columns   | sampled |
    +----|------|----------+       +------+                      |---------|
         +------+ (outside: black)                               |  black  |
                                                                 +---------+
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from blazeface_ros.core.frame import RGB_POSITIONS, Frame
from blazeface_ros.core.tiles import Tile

#: What the network sees where there is no picture.
BLACK = np.float32(-1)


class _SamplingMap(NamedTuple):
    """Which pixels of a view a part of the input shows.

    Attributes:
        points, fractions: where each pixel of that part samples, in OpenCV's fixed-point form.
        rows, columns: which part of the input that is. The rest lies outside of the frame.
    """

    points: cv2.typing.MatLike
    fractions: cv2.typing.MatLike
    rows: slice
    columns: slice


def _visible(positions: npt.NDArray[np.floating], length: int) -> slice:
    """Which of these rising positions lie on a side of this length, or less than one beside it."""
    first, last = np.searchsorted(positions, (-1, length), side='right')
    return slice(int(first), int(last))


@lru_cache(maxsize=64)
def _sampling_map(
    x0: float, y0: float, step: float, input_size: int, width: int, height: int
) -> _SamplingMap:
    """What a tile that begins at x0, y0 of a view, and goes on in such steps, sees of it.

    Maps are kept, because a camera's frames have the same tiles over and over, and because tiles
    of one size inside a frame all see their views alike. Fixed-point numbers (to 1/32 pixel) are
    what MediaPipe samples with. OpenCV 5 rounds its warps differently and loses a face at the
    threshold that MediaPipe keeps; with these points every version of OpenCV agrees.
    """
    steps = np.arange(input_size) * step
    x, y = steps + x0, steps + y0
    rows, columns = _visible(y, height), _visible(x, width)
    grid = np.meshgrid(x[columns].astype(np.float32), y[rows].astype(np.float32))
    # OpenCV refuses maps without points, as of a tile beside the frame.
    points, fractions = cv2.convertMaps(*grid, cv2.CV_16SC2) if grid[0].size else grid
    return _SamplingMap(points, fractions, rows, columns)


def _view(start: float, end: float, length: int) -> tuple[int, int]:
    """The pixels of a side that positions from start to end are interpolated from."""
    first = min(max(int(start), 0), length - 1)
    return first, max(min(int(end) + 2, length), first + 1)


def sample(frame: Frame, tile: Tile, out: npt.NDArray[np.float32]) -> None:
    """Show the network a tile of a frame.

    Args:
        frame: the picture.
        tile: where to look.
        out: float32 [3, S, S] to fill: red, green and blue, from -1 to 1.
    """
    input_size = out.shape[-1]
    # A reduced pixel is the mean of several: it stands in the middle of them.
    middle = (frame.reduction - 1) / 2
    x0, y0 = ((start - middle) / frame.reduction for start in (tile.x0, tile.y0))
    step = tile.size / input_size / frame.reduction
    reach = step * (input_size - 1)
    left, right = _view(x0, x0 + reach, frame.pixels.shape[1])
    top, bottom = _view(y0, y0 + reach, frame.pixels.shape[0])
    points, fractions, rows, columns = _sampling_map(
        x0 - left, y0 - top, step, input_size, right - left, bottom - top
    )
    for outside in (slice(rows.start), slice(rows.stop, None)):
        out[:, outside] = BLACK
    for outside in (slice(columns.start), slice(columns.stop, None)):
        out[:, rows, outside] = BLACK
    if not points.size:
        return
    sampled = cv2.remap(
        frame.pixels[top:bottom, left:right],
        points,
        fractions,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
    )
    planes = cv2.split(sampled)
    for plane, position in zip(out[:, rows, columns], RGB_POSITIONS[frame.channels]):
        np.multiply(planes[position], np.float32(1 / 127.5), out=plane)
        plane += BLACK
