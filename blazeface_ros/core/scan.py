"""Which tiles of a frame to search next, where not all can be searched.

Every tile costs a run of the network. A scan spends a few tiles a frame: some around the faces it
knows, the others in turn on all tiles of the plan, so that each is searched within a number of
frames that is known beforehand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from blazeface_ros.core.boxes import intersections
from blazeface_ros.core.frame import Frame
from blazeface_ros.core.tiles import Array, Tile, as_squares, letterbox
from blazeface_ros.core.tiling import TilingPlan

#: The tile around a known face is larger than the face by this factor. The face is then as large in
#: it as the network finds best, and there is room for it to move and for its neighbours.
ROOM_AROUND = 6.0
#: Pixels from one sample to the next where motion is looked for.
MOTION_STEP = 16
#: A change of brightness up to this, of 255, is noise.
MOTION_NOISE = 12
#: Motion that every tile counts as having, as a share of its area. It lets tiles without motion
#: have their turn by waiting time.
MOTION_FLOOR = 0.02


class ScanOrder:
    """The order in which the tiles of one camera's frames are searched."""

    def __init__(self) -> None:
        self._plan: TilingPlan | None = None
        self._frame = 0
        self._last_search = np.empty(0, np.int64)
        self._samples: npt.NDArray[np.int16] | None = None

    def choose(self, plan: TilingPlan, expected: Array, frame: Frame, budget: int) -> list[Tile]:
        """Choose the tiles to search in the next frame.

        Tiles around known faces come first, but at least one of the budget is left for the plan's
        own tiles. These turns alternate: one is for the tile that has waited longest, the next for
        the tile with most motion and waiting time. So even with one turn a frame, the tile that
        has waited longest is searched in every second frame, and each tile within `bound(plan)`
        frames.

        Args:
            plan: of the frame. With another plan than before, all turns begin anew.
            expected: float32 [T, 4], boxes in pixels where known faces should be, most important
                first.
            frame: the picture.
            budget: how many tiles to choose at most, at least 1.
        """
        if plan != self._plan:
            self._plan = plan
            self._last_search = np.arange(-len(plan.tiles), 0) + self._frame + 1
        self._frame += 1
        chosen: list[Tile] = []
        if budget > 1:
            chosen = tiles_around(_meeting_first(expected), plan)[: budget - 1]
        motion = self._motion(frame, plan)
        for turn in range(min(budget - len(chosen), len(plan.tiles))):
            waiting = self._frame - self._last_search
            # Counting frames, too, lets turns alternate where each frame has only one.
            longest_waiting = (self._frame + turn) % 2 == 0
            best = int(np.argmax(waiting if longest_waiting else motion * waiting))
            self._last_search[best] = self._frame
            motion[best] = 0
            if plan.tiles[best] not in chosen:  # a tile around a face may be one of the plan's
                chosen.append(plan.tiles[best])
        return chosen

    def _motion(self, frame: Frame, plan: TilingPlan) -> npt.NDArray[np.float64]:
        """The share of each tile that has changed since the last frame, float64 [M]."""
        step = max(1, MOTION_STEP // frame.reduction)
        pixels = frame.pixels[step // 2 :: step, step // 2 :: step]
        # One channel is enough: green, or the only one.
        samples = pixels.reshape(*pixels.shape[:2], -1)[..., min(1, pixels.ndim - 2)]
        before, self._samples = self._samples, samples.astype(np.int16)
        motion = np.full(len(plan.tiles), MOTION_FLOOR)
        if before is None or before.shape != self._samples.shape:
            return motion
        changed = np.abs(self._samples - before) > MOTION_NOISE
        # A summed-area table gives each tile's sum by four of its entries.
        table = np.pad(changed, ((1, 0), (1, 0))).cumsum(0, np.int64).cumsum(1)
        squares = as_squares(plan.tiles)
        spacing = step * frame.reduction
        limits = np.array(changed.shape[::-1])
        (left, top), (right, bottom) = (
            np.clip(corners / spacing, 0, limits).astype(int).T
            for corners in (squares[:, :2], squares[:, :2] + squares[:, 2:])
        )
        moved = table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
        motion += moved / np.maximum((bottom - top) * (right - left), 1)
        return motion


def bound(plan: TilingPlan) -> int:
    """Frames within which a scan searches each tile of the plan, at the worst.

    A scan of one tile a frame gives every second one to the tile that has waited longest.
    """
    return 2 * len(plan.tiles)


def share_budget(budget: int, wanted: Sequence[int]) -> list[int]:
    """Share a budget of tiles evenly among cameras, with at least 1 for each.

    Args:
        budget: tiles of all cameras together.
        wanted: how many tiles each camera's plan has. What one does not need goes to the others.
    """
    shares = [1] * len(wanted)
    left = budget - len(wanted)
    while left > 0 and (hungry := [i for i, share in enumerate(shares) if share < wanted[i]]):
        for i in hungry[:left]:
            shares[i] += 1
        left -= len(hungry)
    return shares


def _meeting_first(boxes: Array) -> Array:
    """Boxes [T, 4], those that touch another first: a prediction may confuse these faces."""
    touching = intersections(boxes, boxes) > 0
    alone = touching.sum(axis=1) <= 1  # each touches itself
    return boxes[np.argsort(alone, kind='stable')]


def tiles_around(boxes: Array, plan: TilingPlan) -> list[Tile]:
    """Place tiles around faces. One tile may serve several faces.

    Args:
        boxes: float32 [T, 4] in pixels, where faces are expected, most important first.
        plan: of the frame.

    Returns:
        Tiles in the order of the faces that they are for.
    """
    tiles: list[Tile] = []
    remaining = boxes
    while len(remaining):
        tile = _tile_around(remaining[0].tolist(), plan)
        tiles.append(tile)
        served = plan.shows_reliably(remaining, as_squares([tile]))
        served[0] = True  # no other tile would show it better
        remaining = remaining[~served]
    return tiles


def _tile_around(box: Sequence[float], plan: TilingPlan) -> Tile:
    """A tile inside the frame with a face in its middle; the whole frame for the largest faces."""
    x0, y0, x1, y1 = box
    width = max(x1 - x0, 1)
    # Few sizes, and whole pixels, so that sampling maps can be kept.
    size = plan.finest * 2 ** max(0, round(math.log2(width * ROOM_AROUND / plan.finest)))
    largest = min(plan.width, plan.height)
    if size > largest:
        if width >= plan.smallest_share * max(plan.width, plan.height):
            return letterbox(plan.width, plan.height)
        size = float(largest)  # in the whole frame the face would be too small
    size = float(round(size))
    return Tile(
        float(round(min(max((x0 + x1 - size) / 2, 0), plan.width - size))),
        float(round(min(max((y0 + y1 - size) / 2, 0), plan.height - size))),
        size,
    )
