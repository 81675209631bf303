"""Tiles: the square parts of a frame that the network sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


class Tile(NamedTuple):
    """A square of a frame.

    Attributes:
        x0, y0: the upper left corner in pixels of the frame; it may lie outside of it.
        size: the side in pixels of the frame.
        angle: degrees by which the square is turned. All tiles are upright for now: 0.
    """

    x0: float
    y0: float
    size: float
    angle: float = 0.0


def letterbox(width: int, height: int) -> Tile:
    """The square around a whole frame: centred, and as large as its longer side."""
    size = float(max(width, height))
    return Tile((width - size) / 2, (height - size) / 2, size)


def as_squares(tiles: Sequence[Tile]) -> Array:
    """The tiles' x0, y0 and size: float32 [M, 3]."""
    return np.array([tile[:3] for tile in tiles], np.float32).reshape(-1, 3)


def to_frame_coordinates(points: Array, squares: Array) -> Array:
    """Carry points from their tiles into their frames.

    Args:
        points: float32 [K, P, 2] in units of the tile, 0 to 1.
        squares: float32 [K, 3], x0, y0 and size of the tile that each was found in.

    Returns:
        float32 [K, P, 2] in pixels of the frame.
    """
    return points * squares[:, None, 2:] + squares[:, None, :2]


#: How near a face may come to a tile's edge inside the frame, as a share of the tile's side. A box
#: that comes nearer may be cut by the edge. Neighbouring tiles of a plan overlap so much that each
#: face keeps this distance in one of them.
EDGE_MARGIN = 0.0125


def reliable_in_tile(
    boxes: Array,
    squares: Array,
    frame_size: tuple[int, int],
    finest: float,
    smallest_share: float,
) -> npt.NDArray[np.bool_]:
    """Tell whether a tile shows a face reliably: whole, and large enough for the network.

    This is the one rule for what a tile is believed about: for the candidates found in it, for the
    faces that it can confirm or refute, and for where to place tiles around known faces.

    Args:
        boxes: float32 [..., 4], x0, y0, x1, y1 of the faces in pixels of the frame.
        squares: float32 [..., 3], x0, y0 and size of the tiles; broadcast against the boxes.
        frame_size: width and height of the frame in pixels.
        finest: side in pixels of the smallest tiles of the frame's plan. A face that is too small
            for them is too small for all tiles, and so they show all there is.
        smallest_share: width of the smallest face that the network finds reliably, as a share of
            the tile's side.

    Returns:
        bool [...]. Edges of a tile on or beyond the frame's own edge cut nothing.
    """
    low, side = squares[..., :2], squares[..., 2:]
    high = low + side
    margin = EDGE_MARGIN * side
    cut = ((low > 0) & (boxes[..., :2] < low + margin)).any(axis=-1)
    inside_frame = high < np.array(frame_size, np.float32)
    cut |= (inside_frame & (boxes[..., 2:] > high - margin)).any(axis=-1)
    too_small = boxes[..., 2] - boxes[..., 0] < smallest_share * side[..., 0]
    reliable: npt.NDArray[np.bool_] = ~(cut | (too_small & (side[..., 0] > finest)))
    return reliable
