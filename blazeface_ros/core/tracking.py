"""Which face is which, from frame to frame: ids that stay.

A Kalman filter of constant speed predicts each face; those found go to the predictions whose box
and keypoints they come nearest.

Packages would bring more than they save: norfair 2.3 wants NumPy below 2, filterpy, SciPy and
rich; supervision 0.31 wants SciPy, Matplotlib, PyAV and requests; trackers 2.6 all of these and
opencv-python, which overwrites the files of opencv-python-headless. And what `searched` does would
still have to be built around them.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from blazeface_ros.core.boxes import iou
from blazeface_ros.core.faces import ID_DIGITS, ID_PREFIX, KEYPOINT_NAMES, Faces

Float64 = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]
#: Of boxes float32 [T, 4] in pixels of a frame, bool [T]: whether a face there would have been
#: found, as a tile that was searched shows the place reliably.
Searched = Callable[[npt.NDArray[np.float32]], Mask]

#: Standard deviations, in face sizes of some 0.2 m: of a detected centre or size ...
DETECTION_NOISE = 0.06
#: ... of a new face's speed per second (who walks by at 1.4 m/s makes seven) ...
FIRST_SPEED = 6.0
#: ... and of the change of speed in a second: people stop and turn in it, and so do cameras.
SPEED_CHANGE = 3.0

#: How many face sizes from where it is expected a face is still the same one. Less loses those
#: that turn on their heel; people shoulder to shoulder are more than two apart.
GATE = 1.5
#: ... and how many more for each second that it was not seen.
GATE_GROWTH = 3.0
#: How many times as large or small as expected it may be: nobody comes twice as near unforeseen.
SIZE_RATIO = 2.0

#: How many times as large or small it is predicted to become while it is not seen.
SIZE_CHANGE = 1.25

#: The one-euro filter's cut-off for a still face, in Hz: what Casiez et al. start tuning from.
MIN_CUTOFF = 1.0
#: By how many Hz it rises with each face size per second. The lag, speed / (2 pi cut-off), stays
#: below 1 / (2 pi CUTOFF_SLOPE) of a face at any steady speed.
CUTOFF_SLOPE = 1.5
#: The cut-off for the speed itself, in Hz, as in Casiez et al.
SPEED_CUTOFF = 1.0

#: How many of a face's latest centres are kept to be drawn.
TRAIL_LENGTH = 30

#: The box's corners x0, y0 and x1, y1, and the keypoints.
_POINTS = (2 + len(KEYPOINT_NAMES), 2)

#: A track, as of when it was last seen.
_TRACK = np.dtype(
    [
        ('number', np.int64),
        ('seen', np.float64),  # when, in seconds
        ('sightings', np.int64),
        ('missed', np.bool_),  # looked for since, in vain
        ('score', np.float32),
        ('state', np.float64, (2, 3)),  # centre x, y and size in pixels; their change per second
        ('covariance', np.float64, (2, 2)),  # of a column of the state, in squares of face sizes
        ('shape', np.float64, _POINTS),  # points relative to the centre, in face sizes
        ('shown', np.float64, _POINTS),  # points as they were given out, in pixels
        ('speed', np.float64, _POINTS),  # of the points shown, smoothed, in pixels per second
    ]
)
Tracks = npt.NDArray[np.void]


class Tracker:
    """Gives the faces of one camera ids that stay.

    A face has an id from its first frame on: a letter and a number that counts up and is never
    used twice.

    Args:
        lost_after: see the attribute.
        smooth: see the attribute.
        numbers: gives the numbers of new ids. Trackers that share it never give the same id.

    Attributes:
        lost_after: seconds for which a face that is not seen keeps its id.
        smooth: whether boxes and keypoints are smoothed with a one-euro filter (Casiez et al., CHI
            2012). Both attributes may be changed at any time.
    """

    def __init__(
        self,
        lost_after: float = 1.0,
        smooth: bool = False,
        numbers: Iterator[int] | None = None,
    ) -> None:
        self.lost_after = lost_after
        self.smooth = smooth
        self._numbers = itertools.count(1) if numbers is None else numbers
        self._tracks = np.empty(0, _TRACK)
        self._stamp = -math.inf
        self._trails: dict[str, deque[list[float]]] = {}

    def update(self, faces: Faces, stamp: float, searched: Searched | None = None) -> Faces:
        """Take in the next frame. If time goes back, all tracks end.

        Args:
            faces: what was found.
            stamp: the frame's time in seconds.
            searched: where a face would have been found; None: everywhere. A place beyond the
                frame's edge counts as searched with the place inside of it, so that a face that
                walks out of the frame is not predicted any longer.

        Returns:
            The faces in the order given, with ids, and then the known faces that were not looked
            for: at their predicted places, with their last scores. A face that was looked for in
            vain is left out until it is seen again. If it was seen only once, it is dropped.
        """
        tracks = self._tracks[self._live(stamp)]
        self._stamp = stamp
        state, covariance = _predict(tracks, stamp)
        predicted = tracks['shape'] * state[:, :1, 2:] + state[:, :1, :2]
        points = faces.points.astype(np.float64)
        track, face = _match(_costs(predicted, points, stamp - tracks['seen']))
        seen = self._start(points, stamp)
        seen[face] = tracks[track]
        seen['state'][face], seen['covariance'][face] = _correct(
            state[track], covariance[track], _places(points[face])
        )
        self._take_over(seen, points, faces.scores, stamp)
        seen['number'][seen['number'] == 0] = [
            next(self._numbers) for _ in range(len(points) - len(face))
        ]
        unseen, carried = _retire(tracks, track, predicted, searched)
        self._tracks = np.concatenate([seen, unseen])

        # What is not smoothed went through float64 unchanged: it comes out bit for bit.
        shown = np.concatenate([seen['shown'], predicted[carried]]).astype(np.float32)
        scores = np.concatenate([faces.scores, tracks['score'][carried]])
        ids = _ids(np.concatenate([seen, tracks[carried]]))
        self._extend_trails(ids, shown)
        count = len(seen)
        return Faces(
            shown[:, :2].reshape(-1, 4), shown[:, 2:], scores, ids, np.arange(len(shown)) >= count
        )

    def expected(self, stamp: float) -> npt.NDArray[np.float32]:
        """Where faces should be at a time.

        Returns:
            float32 [T, 4], x0, y0, x1, y1 in pixels of the frame: a box for each live track. Those
            seen only once come first, as they may be none, and where they go is not yet known;
            then those not seen for longest.
        """
        tracks = self._tracks[self._live(stamp)]
        tracks = tracks[np.lexsort((tracks['seen'], tracks['sightings'] > 1))]
        state, _ = _predict(tracks, stamp)
        boxes = tracks['shape'][:, :2] * state[:, :1, 2:] + state[:, :1, :2]
        return boxes.reshape(-1, 4).astype(np.float32)

    def trails(self) -> dict[str, npt.NDArray[np.float32]]:
        """For each id the latest centres of its box, newest last: float32 [P, 2] in pixels."""
        return {key: np.array(trail, np.float32) for key, trail in self._trails.items()}

    def _live(self, stamp: float) -> Mask:
        """Which tracks still count at a time; none if it is in the past."""
        live: Mask = stamp - self._tracks['seen'] <= self.lost_after
        return live & (stamp >= self._stamp)

    @staticmethod
    def _start(points: Float64, stamp: float) -> Tracks:
        """New tracks, without numbers yet, of faces [N, 8, 2]."""
        new = np.zeros(len(points), _TRACK)
        new['seen'], new['shown'] = stamp, points
        new['state'][:, 0] = _places(points)
        new['covariance'] = np.diag([DETECTION_NOISE**2, FIRST_SPEED**2])
        return new

    def _take_over(
        self, seen: Tracks, points: Float64, scores: npt.NDArray[np.float32], stamp: float
    ) -> None:
        """Let tracks take over what was found of them: faces [N, 8, 2] with their scores [N]."""
        places = _places(points)
        if self.smooth:
            _smooth(seen, points, places[:, 2, None, None], stamp)
        else:
            seen['shown'], seen['speed'] = points, 0
        seen['shape'] = (points - places[:, None, :2]) / places[:, None, 2:]
        seen['seen'], seen['score'], seen['missed'] = stamp, scores, False
        seen['sightings'] += 1

    def _extend_trails(self, ids: tuple[str, ...], shown: npt.NDArray[np.float32]) -> None:
        self._trails = {
            key: self._trails.get(key, deque(maxlen=TRAIL_LENGTH)) for key in _ids(self._tracks)
        }
        for key, centre in zip(ids, shown[:, :2].mean(axis=1).tolist()):
            self._trails[key].append(centre)


def _retire(
    tracks: Tracks, seen: Indices, predicted: Float64, searched: Searched | None
) -> tuple[Tracks, Mask]:
    """Decide about tracks of which some were seen in this frame.

    Args:
        tracks: T tracks.
        seen: which of them were seen.
        predicted: their points, [T, 8, 2].
        searched: see `Tracker.update`.

    Returns:
        The tracks that were not seen and live on; and bool [T], those among all that are shown at
        their predicted places.
    """
    boxes = predicted[:, :2].reshape(-1, 4).astype(np.float32)
    missed = np.ones(len(tracks), np.bool_) if searched is None else searched(boxes)
    tracks['missed'] |= missed
    kept = ~missed | (tracks['sightings'] > 1)
    kept[seen] = False
    return tracks[kept], kept & ~tracks['missed']


def _ids(tracks: Tracks) -> tuple[str, ...]:
    return tuple(f'{ID_PREFIX}{number:0{ID_DIGITS}}' for number in tracks['number'].tolist())


def _places(points: Float64) -> Float64:
    """Centre x, y and size (mean of width and height, at least a pixel) of points [N, 8, 2]."""
    first, last = points[:, 0], points[:, 1]
    size = np.maximum((last - first).sum(axis=1, keepdims=True) / 2, 1)
    return np.concatenate([(first + last) / 2, size], axis=1)


def _predict(tracks: Tracks, stamp: float) -> tuple[Float64, Float64]:
    """State [T, 2, 3] and covariance [T, 2, 2] at a time, by a Kalman filter: speeds stay.

    In units of the face's size, so that one covariance serves x, y and size.
    """
    dt = stamp - tracks['seen']
    transition = np.tile(np.eye(2), (len(tracks), 1, 1))
    transition[:, 0, 1] = dt
    state = transition @ tracks['state']
    # What hides a face makes it narrower first: it does not go on shrinking.
    size = tracks['state'][:, 0, 2]
    state[:, 0, 2] = np.clip(state[:, 0, 2], size / SIZE_CHANGE, size * SIZE_CHANGE)
    # White noise on the acceleration, integrated over the time that passed.
    noise = np.stack([dt**3 / 3, dt**2 / 2, dt**2 / 2, dt], axis=-1).reshape(-1, 2, 2)
    covariance = transition @ tracks['covariance'] @ transition.swapaxes(1, 2)
    return state, covariance + SPEED_CHANGE**2 * noise


def _correct(state: Float64, covariance: Float64, places: Float64) -> tuple[Float64, Float64]:
    """Move predictions towards the places [N, 3] where the faces were found.

    No step divides by time: two frames at nearly one moment do not turn jitter into speed.
    """
    gain = covariance[:, :, :1] / (covariance[:, :1, :1] + DETECTION_NOISE**2)
    state = state + gain * (places[:, None] - state[:, :1])
    return state, covariance - gain * covariance[:, :1]


def _costs(tracks: Float64, faces: Float64, unseen: Float64) -> Float64:
    """How badly tracks [T, 8, 2] and faces [N, 8, 2] agree: [T, N]; infinite if not the same.

    The longer a track has not been seen, by seconds [T], the further it may be from where it is
    expected, and the more it leaves faces to others.

    The mean distance of the keypoints, in face sizes, also compares faces that do not overlap;
    the overlap of the boxes weighs in their size.
    """
    sizes = _places(tracks)[:, None, 2], _places(faces)[:, 2]
    offsets = tracks[:, None, 2:] - faces[:, 2:]
    distance = np.hypot(offsets[..., 0], offsets[..., 1]).mean(axis=-1) * 2 / (sizes[0] + sizes[1])

    overlap = iou(*(points[:, :2].reshape(-1, 4) for points in (tracks, faces)))

    unseen = unseen[:, None]
    same = distance <= GATE + GATE_GROWTH * unseen
    same &= np.maximum(*sizes) <= SIZE_RATIO * np.minimum(*sizes)
    return np.where(same, distance + 1 - overlap + unseen, np.inf)


def _match(costs: Float64) -> tuple[Indices, Indices]:
    """Pairs of a track and a face, taken best first.

    In simulated crowds that cross, hide and are panned over, ids change as often with the
    Hungarian method, which is longer and slower.
    """
    pairs: dict[int, int] = {}
    faces: set[int] = set()
    order = np.argsort(costs, axis=None, kind='stable')[: np.isfinite(costs).sum()]
    for track, face in zip(*(index.tolist() for index in np.unravel_index(order, costs.shape))):
        if track not in pairs and face not in faces:
            pairs[track] = face
            faces.add(face)
    return np.array([*pairs], np.intp), np.array([*pairs.values()], np.intp)


def _smooth(found: Tracks, points: Float64, size: Float64, stamp: float) -> None:
    """Let what is shown of tracks follow points [N, 8, 2] of faces of a size [N, 1, 1].

    The one-euro filter, with one cut-off a face, so that its points keep together and its corners
    in order; by the speed in face sizes, so that near and far faces are smoothed alike.
    """
    dt = (stamp - found['seen'])[:, None, None]
    step = points - found['shown']
    # The low-pass of step / dt, with dt cancelled: equal time stamps must not divide by zero.
    found['speed'] += (step - found['speed'] * dt) / (dt + 1 / (2 * math.pi * SPEED_CUTOFF))
    speed = np.hypot(found['speed'][..., 0], found['speed'][..., 1]).mean(axis=-1)
    cutoff = MIN_CUTOFF + CUTOFF_SLOPE * speed[:, None, None] / size
    found['shown'] += step * (dt / (dt + 1 / (2 * math.pi * cutoff)))
