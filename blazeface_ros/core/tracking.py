"""Which face is which, from frame to frame: ids that stay.

A Kalman filter of constant speed predicts each face; those found go to the predictions whose box
and keypoints they come nearest.

Packages would bring more than they save: norfair 2.3 wants NumPy below 2, filterpy, SciPy and
rich; supervision 0.31 wants SciPy, Matplotlib, PyAV and requests; trackers 2.6 all of these and
opencv-python, which overwrites the files of opencv-python-headless. And what `looked_at` does
would still have to be built around them.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import numpy.typing as npt

from blazeface_ros.core.boxes import overlaps
from blazeface_ros.core.faces import KEYPOINT_NAMES, Faces

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]
#: Parts of a frame, float32 [W, 4], x0, y0, x1, y1 in pixels, and the width of the smallest faces
#: that each shows, float32 [W].
Looks = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]

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

    Ids count up from '1' and are never used twice. A face has one from its first frame on.

    Attributes:
        lost_after: for so many seconds a face that is not seen keeps its id.
        smooth: whether jitter is taken out of boxes and keypoints, with a one-euro filter (Casiez
            et al., CHI 2012). Both may be changed at any time.
    """

    def __init__(self, lost_after: float = 1.0, smooth: bool = False) -> None:
        self.lost_after = lost_after
        self.smooth = smooth
        self._tracks = np.empty(0, _TRACK)
        self._seconds = -math.inf
        self._count = 0
        self._trails: dict[str, deque[list[float]]] = {}

    def update(
        self,
        faces: Faces,
        seconds: float,
        looked_at: Looks | None = None,
    ) -> Faces:
        """Take in the next frame. If time goes back, all tracks end.

        Args:
            faces: what was found.
            seconds: the frame's time stamp.
            looked_at: the parts of it that were searched; None: all, for all faces. Parts at the
                frame's edges should reach beyond them: a face that walks out of all parts counts
                as not looked for.

        Returns:
            The faces in the order given, with ids, and then those known from before that were not
            looked for: at their predicted places, with their last scores. A face looked for in
            vain is left out until it is seen again; if it was seen only once, for good.
        """
        tracks = self._tracks[self._live(seconds)]
        self._seconds = seconds
        state, covariance = _predict(tracks, seconds)
        predicted = tracks['shape'] * state[:, :1, 2:] + state[:, :1, :2]
        points = np.concatenate([faces.boxes.reshape(-1, 2, 2), faces.keypoints], axis=1)
        points = points.astype(np.float64)
        places = _places(points)
        track, face = _assign(_costs(predicted, points, seconds - tracks['seen']))

        found = np.zeros(len(faces), _TRACK)
        found['seen'], found['shown'] = seconds, points
        found['state'][:, 0] = places
        found['covariance'] = np.diag([DETECTION_NOISE**2, FIRST_SPEED**2])
        found[face] = tracks[track]
        corrected = _correct(state[track], covariance[track], places[face])
        found['state'][face], found['covariance'][face] = corrected
        new = found['number'] == 0
        found['number'][new] = self._count + 1 + np.arange(new.sum())
        self._count += int(new.sum())
        if self.smooth:
            _smooth(found, points, places[:, 2, None, None], seconds)
        else:
            found['shown'], found['speed'] = points, 0
        found['shape'] = (points - places[:, None, :2]) / places[:, None, 2:]
        found['seen'], found['score'], found['missed'] = seconds, faces.scores, False
        found['sightings'] += 1

        missed = _lie_within(predicted[:, :2], looked_at)
        tracks['missed'] |= missed
        kept = ~missed | (tracks['sightings'] > 1)
        kept[track] = False
        carried = kept & ~tracks['missed']
        self._tracks = np.concatenate([found, tracks[kept]])

        # What is not smoothed went through float64 unchanged: it comes out bit for bit.
        shown = np.concatenate([found['shown'], predicted[carried]]).astype(np.float32)
        scores = np.concatenate([faces.scores, tracks['score'][carried]])
        ids = _ids(np.concatenate([found, tracks[carried]]))
        self._trails = {
            key: self._trails.get(key, deque(maxlen=TRAIL_LENGTH)) for key in _ids(self._tracks)
        }
        for key, centre in zip(ids, shown[:, :2].mean(axis=1).tolist()):
            self._trails[key].append(centre)
        return Faces(shown[:, :2].reshape(-1, 4), shown[:, 2:], scores, ids)

    def expected(self, seconds: float) -> npt.NDArray[np.float32]:
        """Where faces should be at a time.

        Returns:
            float32 [T, 4], x0, y0, x1, y1 in pixels of the frame: a box for each live track. Those
            seen only once come first, as they may be none, and where they go is not yet known;
            then those not seen for longest.
        """
        tracks = self._tracks[self._live(seconds)]
        tracks = tracks[np.lexsort((tracks['seen'], tracks['sightings'] > 1))]
        state, _ = _predict(tracks, seconds)
        boxes = tracks['shape'][:, :2] * state[:, :1, 2:] + state[:, :1, :2]
        return boxes.reshape(-1, 4).astype(np.float32)

    def trails(self) -> dict[str, npt.NDArray[np.float32]]:
        """For each id the latest centres of its box, newest last: float32 [P, 2] in pixels."""
        return {key: np.array(trail, np.float32) for key, trail in self._trails.items()}

    def _live(self, seconds: float) -> Mask:
        """Which tracks still count at a time; none if it is in the past."""
        live: Mask = seconds - self._tracks['seen'] <= self.lost_after
        return live & (seconds >= self._seconds)


def _ids(tracks: Tracks) -> tuple[str, ...]:
    return tuple(map(str, tracks['number'].tolist()))


def _places(points: Array) -> Array:
    """Centre x, y and size (mean of width and height, at least a pixel) of points [N, 8, 2]."""
    first, last = points[:, 0], points[:, 1]
    size = np.maximum((last - first).sum(axis=1, keepdims=True) / 2, 1)
    return np.concatenate([(first + last) / 2, size], axis=1)


def _predict(tracks: Tracks, seconds: float) -> tuple[Array, Array]:
    """State [T, 2, 3] and covariance [T, 2, 2] at a time, by a Kalman filter: speeds stay.

    In units of the face's size, so that one covariance serves x, y and size.
    """
    dt = seconds - tracks['seen']
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


def _correct(state: Array, covariance: Array, places: Array) -> tuple[Array, Array]:
    """Move predictions towards the places [N, 3] where the faces were found.

    No step divides by time: two frames at nearly one moment do not turn jitter into speed.
    """
    gain = covariance[:, :, :1] / (covariance[:, :1, :1] + DETECTION_NOISE**2)
    state = state + gain * (places[:, None] - state[:, :1])
    return state, covariance - gain * covariance[:, :1]


def _costs(tracks: Array, faces: Array, unseen: Array) -> Array:
    """How badly tracks [T, 8, 2] and faces [N, 8, 2] agree: [T, N]; infinite if not the same.

    The longer a track has not been seen, by seconds [T], the further it may be from where it is
    expected, and the more it leaves faces to others.

    The mean distance of the keypoints, in face sizes, also compares faces that do not overlap;
    the overlap of the boxes weighs in their size.
    """
    sizes = _places(tracks)[:, None, 2], _places(faces)[:, 2]
    offsets = tracks[:, None, 2:] - faces[:, 2:]
    distance = np.hypot(offsets[..., 0], offsets[..., 1]).mean(axis=-1) * 2 / (sizes[0] + sizes[1])

    overlap = overlaps(*(points[:, :2].reshape(-1, 4) for points in (tracks, faces)))

    unseen = unseen[:, None]
    same = distance <= GATE + GATE_GROWTH * unseen
    same &= np.maximum(*sizes) <= SIZE_RATIO * np.minimum(*sizes)
    return np.where(same, distance + 1 - overlap + unseen, np.inf)


def _assign(costs: Array) -> tuple[Indices, Indices]:
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


def _lie_within(boxes: Array, looked_at: Looks | None) -> Mask:
    """Which boxes [T, 2, 2] lie fully inside one of those looked at, and are shown there."""
    if looked_at is None:
        return np.ones(len(boxes), np.bool_)
    outer, smallest = looked_at[0].reshape(-1, 2, 2), looked_at[1]
    inside = (boxes[:, None, 0] >= outer[:, 0]) & (boxes[:, None, 1] <= outer[:, 1])
    shown = boxes[:, 1, :1] - boxes[:, 0, :1] >= smallest
    return np.asarray((inside.all(axis=-1) & shown).any(axis=-1))


def _smooth(found: Tracks, points: Array, size: Array, seconds: float) -> None:
    """Let what is shown of tracks follow points [N, 8, 2] of faces of a size [N, 1, 1].

    The one-euro filter, with one cut-off a face, so that its points keep together and its corners
    in order; by the speed in face sizes, so that near and far faces are smoothed alike.
    """
    dt = (seconds - found['seen'])[:, None, None]
    step = points - found['shown']
    # The low-pass of step / dt, with dt cancelled: equal time stamps must not divide by zero.
    found['speed'] += (step - found['speed'] * dt) / (dt + 1 / (2 * math.pi * SPEED_CUTOFF))
    speed = np.hypot(found['speed'][..., 0], found['speed'][..., 1]).mean(axis=-1)
    cutoff = MIN_CUTOFF + CUTOFF_SLOPE * speed[:, None, None] / size
    found['shown'] += step * (dt / (dt + 1 / (2 * math.pi * cutoff)))
