"""Where to look: the tiles in which all faces from a size up are seen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from blazeface_ros.core.tiles import EDGE_MARGIN, Array, Tile, letterbox, reliable_in_tile

#: A frame is not searched in more tiles than this; each costs a run of the network.
MOST_TILES = 160
#: Tiles of one level are larger than those of the next finer level by this factor.
LEVEL_RATIO = 2.0
#: How much tiles of a level overlap at least, in sizes of the largest face that only they show.
#: Each such face lies whole in one of them, with `EDGE_MARGIN` around it ...
OVERLAP = 1.25
#: ... but tiles overlap by no more than this share of their side, in panoramas many times as wide
#: as high.
MOST_OVERLAP = 0.75
#: Tiles begin at whole pixels and have whole sizes. Rounding may make overlaps smaller by this many
#: pixels.
ROUNDING = 2
#: By this factor the smallest face is raised until `MOST_TILES` suffice.
RAISING = 1.1


@dataclass(frozen=True)
class TilingPlan:
    """All tiles of frames of one size.

    Attributes:
        width, height: of the frames in pixels.
        tiles: the whole frame comes first, then the others from large to small.
        smallest_face: width in pixels of the smallest face that the tiles show reliably.
        smallest_share: the same for the network, as a share of a tile's side.
        note: one sentence where `smallest_face` is not what was asked for; else ''.
    """

    width: int
    height: int
    tiles: tuple[Tile, ...]
    smallest_face: float
    smallest_share: float
    note: str

    @property
    def finest(self) -> float:
        """Side of the smallest tiles in pixels."""
        return self.tiles[-1].size

    def shows_reliably(self, boxes: Array, squares: Array) -> npt.NDArray[np.bool_]:
        """See `tiles.reliable_in_tile`, with the numbers of this plan.

        Args:
            boxes: float32 [..., 4] in pixels of the frame.
            squares: float32 [..., 3], x0, y0 and size of tiles; they need not be of this plan.
        """
        size = self.width, self.height
        return reliable_in_tile(boxes, squares, size, self.finest, self.smallest_share)


@lru_cache(maxsize=64)
def plan_tiles(width: int, height: int, smallest_face: float, smallest_share: float) -> TilingPlan:
    """Cover frames of one size with tiles, so that any face from a size up is large enough in one.

    Args:
        width: of the frames in pixels.
        height: of the frames in pixels.
        smallest_face: width in pixels of the frame; 0: only what the whole frame shows.
        smallest_share: width of the smallest face that the network finds reliably, as a share of
            the tile's side.

    Returns:
        The whole frame, then levels of tiles inside it, each half as large as those before. If
        that takes more than `MOST_TILES`, the smallest face is raised until they suffice.
    """
    reachable = smallest_face
    levels = _levels(width, height, reachable, smallest_share)
    while 1 + sum(level.rows * level.columns for level in levels) > MOST_TILES:
        reachable *= RAISING
        levels = _levels(width, height, reachable, smallest_share)
    tiles = [letterbox(width, height)]
    for size, rows, columns in levels:
        starts = product(_starts(height, size, rows), _starts(width, size, columns))
        tiles += [Tile(x, y, float(size)) for y, x in starts]
    in_whole = max(width, height) * smallest_share
    smallest = reachable if levels else in_whole
    note = ''
    if smallest_face > in_whole:
        note = (
            f'smallest_face is {smallest_face:g}, but one pass over the whole picture of '
            f'{width} x {height} already shows faces from {in_whole:.0f} pixels on'
        )
    elif reachable > smallest_face:
        note = (
            f'smallest_face is {smallest_face:g}, which takes more than {MOST_TILES} tiles of a '
            f'picture of {width} x {height}: it is searched for faces from {smallest:.0f} '
            'pixels on'
        )
    return TilingPlan(width, height, tuple(tiles), smallest, smallest_share, note)


class _Level(NamedTuple):
    """Tiles of one size in pixels, and in how many rows and columns they stand."""

    size: int
    rows: int
    columns: int


def _levels(width: int, height: int, smallest_face: float, smallest_share: float) -> list[_Level]:
    """The levels of tiles below the whole frame, from large to small."""
    longest, shortest = max(width, height), min(width, height)
    sizes = set()
    size = smallest_face / smallest_share
    while smallest_face and size < longest:
        sizes.add(min(size, shortest))
        size *= LEVEL_RATIO
    levels: list[_Level] = []
    for size in sorted(sizes, reverse=True):
        # Only faces that the next larger tiles do not show need to fit. Above the first level that
        # is the whole frame, which may be more than twice as large.
        larger = LEVEL_RATIO * size if levels else max(LEVEL_RATIO * size, longest)
        largest_face = smallest_share * larger
        with_margins = largest_face + 2 * EDGE_MARGIN * size + ROUNDING
        overlap = min(max(OVERLAP * largest_face, with_margins), MOST_OVERLAP * size)
        rows, columns = (_count(side, round(size), overlap) for side in (height, width))
        levels.append(_Level(round(size), rows, columns))
    return levels


def _count(length: int, size: int, overlap: float) -> int:
    """How many tiles of a size cover a side with at least this overlap."""
    return 1 + max(0, math.ceil((length - size) / max(size - overlap, 1)))


def _starts(length: int, size: int, count: int) -> list[float]:
    """Where so many tiles of a size begin along a side, at whole pixels, evenly."""
    return [float(round(start)) for start in np.linspace(0, length - size, count)]
