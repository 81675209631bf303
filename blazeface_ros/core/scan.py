"""Where to look in the next frames of some cameras, and which face is which.

Looking into all windows of a frame costs a run of the network each. A scan spends a few windows a
frame: some around the faces it knows, the rest in turn on all others, so that each is looked at
within a number of frames that is known beforehand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from blazeface_ros.core.boxes import intersections
from blazeface_ros.core.detector import FaceDetector
from blazeface_ros.core.faces import Faces
from blazeface_ros.core.tiles import Frame, Levels, Window, letterbox
from blazeface_ros.core.tracking import Looks, Tracker
from blazeface_ros.errors import ConfigurationError

Square = tuple[float, float, float]

SEARCHES = ('exhaustive', 'scan')
#: How many times as large as a known face the window around it is: as in the middle of what the
#: network finds, and with room for the face to move and for its neighbours.
ROOM_AROUND = 6.0
#: Pixels from one sample to the next where motion is looked for.
MOTION_STEP = 16
#: Change of brightness, of 255, below which it is noise.
MOTION_NOISE = 12


class Stream:
    """What is known of one camera's frames.

    Attributes:
        tracker: of its faces.
        windows: that were looked at in the last frame.
        plan: all windows of its frames; None before the first.
    """

    def __init__(self) -> None:
        self.tracker = Tracker()
        self.windows: list[Window] = []
        self.plan: Levels | None = None
        self._frame = 0
        self._last_look = np.empty(0, np.int64)
        self._samples: npt.NDArray[np.int16] | None = None

    def follow(self, plan: Levels) -> None:
        """Take over the plan of the next frame; with another one, all turns begin anew."""
        if plan != self.plan:
            self.plan = plan
            self._last_look = np.arange(-len(plan.windows), 0) + self._frame + 1

    def choose(
        self, plan: Levels, share: float, frame: Frame, seconds: float, budget: int
    ) -> list[Square]:
        """Choose where to look in the next frame.

        The windows around known faces come first, but at least one of the budget is left for the
        plan's. Of these, every second one is that not looked at for longest, so that each has its
        turn within `bound` frames; the others are those where most moves.

        Args:
            plan: all windows of the frame.
            share: how large a face must be for the network, as a share of the window's side.
            frame: the picture.
            seconds: its time stamp.
            budget: how many windows.
        """
        self.follow(plan)
        self._frame += 1
        chosen: list[Square] = []
        if budget > 1:
            expected = _meeting_first(self.tracker.expected(seconds))
            chosen = _around(expected, plan.windows[-1][2], share, frame)[: budget - 1]
        motion = self._motion(frame, plan)
        for turn in range(min(budget - len(chosen), len(plan.windows))):
            waiting = self._frame - self._last_look
            by_turn = (self._frame + turn) % 2 == 0
            best = int(np.argmax(waiting if by_turn else motion * waiting))
            self._last_look[best] = self._frame
            motion[best] = 0
            chosen.append(plan.windows[best])
        return chosen

    @property
    def bound(self) -> int:
        """Frames within which each window of the plan is looked at, at the worst."""
        return 2 * len(self.plan.windows) if self.plan else 0

    def in_words(self) -> str:
        """Where was looked at last, for diagnostics."""
        if self.plan is None:
            return 'nothing yet'
        count, total = len(self.windows), len(self.plan.windows)
        words = f'{count} of {total} windows, for faces from {self.plan.smallest_face:.0f} pixels'
        return f'{words}; each window within {self.bound} images' if count < total else words

    def _motion(self, frame: Frame, plan: Levels) -> npt.NDArray[np.float64]:
        """The share of each window that has changed since the last frame, 0.02 and more."""
        step = max(1, MOTION_STEP // frame.reduction)
        pixels = frame.pixels[step // 2 :: step, step // 2 :: step]
        samples = pixels.reshape(*pixels.shape[:2], -1)[..., min(1, pixels.ndim - 2)]
        before, self._samples = self._samples, samples.astype(np.int16)
        motion = np.full(len(plan.windows), 0.02)
        if before is None or before.shape != self._samples.shape:
            return motion
        changed = np.abs(self._samples - before) > MOTION_NOISE
        # A summed-area table gives each window's sum by four of its entries.
        table = np.pad(changed, ((1, 0), (1, 0))).cumsum(0, np.int64).cumsum(1)
        squares = np.array(plan.windows)
        spacing = step * frame.reduction
        limits = np.array(changed.shape[::-1])
        (left, top), (right, bottom) = (
            np.clip(corners / spacing, 0, limits).astype(int).T
            for corners in (squares[:, :2], squares[:, :2] + squares[:, 2:])
        )
        moved = table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
        motion += moved / np.maximum((bottom - top) * (right - left), 1)
        return motion


def _meeting_first(boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Boxes [T, 4], those that touch another first: who is who there shows only by looking."""
    touching = intersections(boxes, boxes) > 0
    alone = touching.sum(axis=1) <= 1  # but itself
    return boxes[np.argsort(alone, kind='stable')]


def _around(
    boxes: npt.NDArray[np.float32], finest: float, share: float, frame: Frame
) -> list[Square]:
    """Windows around faces, most important first; one may serve several.

    Args:
        boxes: float32 [T, 4], where faces are expected, most important first.
        finest: side of the smallest windows of the plan in pixels.
        share: how large a face must be in others, as a share of the window's side.
        frame: the picture.
    """
    squares: list[Square] = []
    largest = min(frame.width, frame.height)
    remaining = boxes
    while len(remaining):
        x0, y0, x1, y1 = remaining[0].tolist()
        # Few sizes, and whole pixels, so that what is sampled of them can be kept.
        size = finest * 2 ** max(0, round(math.log2(max(x1 - x0, 1) * ROOM_AROUND / finest)))
        longest = max(frame.width, frame.height)
        if size > largest and x1 - x0 < share * longest:
            size = float(largest)  # in the whole frame it would be too small
        if size > largest:
            square = letterbox(frame.width, frame.height)
        else:
            size = float(round(size))
            square = (
                float(round(min(max((x0 + x1 - size) / 2, 0), frame.width - size))),
                float(round(min(max((y0 + y1 - size) / 2, 0), frame.height - size))),
                size,
            )
        squares.append(square)
        margin = square[2] / 16
        low = np.array(square[:2]) + margin
        high = np.array(square[:2]) + square[2] - margin
        inside = (remaining[:, :2] >= low).all(axis=1) & (remaining[:, 2:] <= high).all(axis=1)
        width = remaining[:, 2] - remaining[:, 0]
        served = inside & ((width >= share * square[2]) | (square[2] <= finest))
        served[0] = True  # at the frame's edge it may reach beyond
        remaining = remaining[~served]
    return squares


@dataclass(frozen=True)
class Search:
    """How frames are searched.

    Attributes:
        scan: whether only some windows of each frame are looked at.
        windows_per_frame: how many then; cameras whose frames come together share theirs.
        tracking: whether faces get ids.
        lost_after: seconds for which a face that is not seen keeps its id.
        smooth: whether jitter is taken out of boxes and keypoints of tracked faces.

    Raises:
        ConfigurationError: if a value is out of its range.
    """

    scan: bool = False
    windows_per_frame: int = 3
    tracking: bool = False
    lost_after: float = 1.0
    smooth: bool = False

    def __post_init__(self) -> None:
        for name, value in (
            ('windows_per_frame', self.windows_per_frame),
            ('track_lost_after', self.lost_after),
        ):
            if value <= 0:
                raise ConfigurationError(f'{name} is {value}; it must be more than 0')

    def detect(
        self,
        detector: FaceDetector,
        frames: Sequence[Frame],
        streams: Sequence[Stream],
        seconds: Sequence[float],
    ) -> list[Faces]:
        """Find the faces of the next frames of some cameras together.

        Args:
            detector: finds them.
            frames: one a camera.
            streams: of these cameras.
            seconds: time stamps of the frames.

        Returns:
            The faces of each frame, with ids if they are tracked. In a scan these are also faces
            known from before where nothing was looked at this time, at their predicted places.
        """
        plans = [detector.plan(frame.width, frame.height) for frame in frames]
        shares = _share(self.windows_per_frame * len(frames), [len(p.windows) for p in plans])
        share = detector.model.smallest_share
        looks: list[Window] = []
        for i, (frame, stream, plan) in enumerate(zip(frames, streams, plans)):
            squares: Sequence[Square] = plan.windows
            if self.scan and shares[i] < len(plan.windows):
                squares = stream.choose(plan, share, frame, seconds[i], shares[i])
            else:
                stream.follow(plan)
            stream.windows = [Window(i, *square) for square in squares]
            looks += stream.windows
        found = detector.detect_batch(frames, looks)
        if not (self.tracking or self.scan):
            return found
        tracked = []
        for faces, frame, stream, plan, now in zip(found, frames, streams, plans, seconds):
            partly = len(stream.windows) < len(plan.windows)
            looked_at = _looked_at(stream.windows, plan, frame, share) if partly else None
            faces = self._follow(faces, stream.tracker, now, looked_at)
            # With those carried along they may have become too many again.
            tracked.append(faces.best(detector.max_faces) if detector.max_faces else faces)
        return tracked

    def _follow(
        self, faces: Faces, tracker: Tracker, seconds: float, looked_at: Looks | None
    ) -> Faces:
        tracker.lost_after, tracker.smooth = self.lost_after, self.smooth
        tracked = tracker.update(faces, seconds, looked_at)
        return tracked if self.tracking else replace(tracked, ids=('',) * len(tracked))


def _share(budget: int, wanted: Sequence[int]) -> list[int]:
    """Share a budget evenly; what one does not want goes to the others. At least 1 each."""
    shares = [1] * len(wanted)
    left = budget - len(wanted)
    while left > 0 and (hungry := [i for i, share in enumerate(shares) if share < wanted[i]]):
        for i in hungry[:left]:
            shares[i] += 1
        left -= len(hungry)
    return shares


def _looked_at(windows: Sequence[Window], plan: Levels, frame: Frame, share: float) -> Looks:
    """What some windows of a frame showed."""
    squares = np.array([window[1:] for window in windows], np.float32)
    low, side = squares[:, :2], squares[:, 2:]
    high = low + side
    # Near an edge inside the frame a face may be cut; beyond the frame's own there is none.
    margin, far = side / 16, np.float32(1e6)
    low = np.where(low > 0, low + margin, -far)
    high = np.where(high < (frame.width, frame.height), high - margin, far)
    smallest = np.where(side > plan.windows[-1][2], side * share, 0)
    return np.concatenate([low, high], axis=1), smallest[:, 0]
