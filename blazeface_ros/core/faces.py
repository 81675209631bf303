"""The result type: the faces of one frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

#: BlazeFace's keypoints in the network's own order. Left and right are the subject's own.
KEYPOINT_NAMES = (
    'right_eye',
    'left_eye',
    'nose_tip',
    'mouth_center',
    'right_ear_tragion',
    'left_ear_tragion',
)
#: Ids start with a letter, as they become parts of ROS frame names (REP-155); a number follows.
ID_PREFIX = 'f'
#: Digits of that number. All ids have the same length, and so have messages with as many faces.
ID_DIGITS = 4
#: How many faces `repr` lists.
MOST_IN_REPR = 3
#: Decimals of the numbers in `Faces.to_dict`.
PIXEL_DECIMALS, SCORE_DECIMALS = 3, 5


@dataclass(frozen=True, eq=False, repr=False)
class Faces:
    """The faces of one frame as parallel arrays, best score first.

    Faces that a tracker predicts, because no tile showed their place in this frame, come last.

    >>> points = np.arange(32, dtype=np.float32).reshape(2, 8, 2)
    >>> faces = Faces.from_points(points, [0.9, 0.7], ('f0001', 'f0002'))
    >>> len(faces)
    2
    >>> faces[0].ids, faces[faces.scores < 0.8].ids
    (('f0001',), ('f0002',))
    >>> [round(float(face.scores[0]), 1) for face in faces]
    [0.9, 0.7]
    >>> faces[:1] == faces[0]
    True
    >>> faces[0]
    Faces(1: 0.90 at 0,1 2x2 f0001)
    >>> Faces.empty().boxes.shape
    (0, 4)

    Attributes:
        boxes: float32 [N, 4], x0, y0, x1, y1 in pixels of the frame, not clipped to it.
        keypoints: float32 [N, 6, 2], x, y in pixels of the frame, in `KEYPOINT_NAMES` order.
        scores: float32 [N], from 0 to 1.
        ids: N strings. They are empty unless faces are tracked.
        predicted: bool [N], whether the face was not looked for in this frame and stands where a
            tracker predicts it.

    Raises:
        ValueError: if the arrays do not have these shapes.
    """

    boxes: Array
    keypoints: Array
    scores: Array
    ids: tuple[str, ...] = ()
    predicted: npt.NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))

    def __post_init__(self) -> None:
        count = len(self.scores)
        if not self.ids:
            object.__setattr__(self, 'ids', ('',) * count)
        if not len(self.predicted):
            object.__setattr__(self, 'predicted', np.zeros(count, np.bool_))
        shapes = self.boxes.shape, self.keypoints.shape, len(self.ids), self.predicted.shape
        if shapes != ((count, 4), (count, len(KEYPOINT_NAMES), 2), count, (count,)):
            raise ValueError(
                f'{count} scores need boxes [{count}, 4], keypoints [{count}, 6, 2], {count} ids '
                f'and predicted [{count}]; got {shapes[0]}, {shapes[1]}, {shapes[2]} and '
                f'{shapes[3]}'
            )

    @classmethod
    def empty(cls) -> Faces:
        """No faces."""
        return cls.from_points(np.empty((0, 2 + len(KEYPOINT_NAMES), 2), np.float32), np.empty(0))

    @classmethod
    def from_points(cls, points: Array, scores: npt.ArrayLike, ids: tuple[str, ...] = ()) -> Faces:
        """Faces from their points.

        Args:
            points: float32 [N, 8, 2], as `Faces.points` gives them.
            scores: N numbers.
            ids: N strings, or none at all.
        """
        return cls(points[:, :2].reshape(-1, 4), points[:, 2:], np.asarray(scores, np.float32), ids)

    @property
    def points(self) -> Array:
        """The box's corners x0, y0 and x1, y1, then the keypoints: float32 [N, 8, 2] in pixels."""
        return np.concatenate([self.boxes.reshape(-1, 2, 2), self.keypoints], axis=1)

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: int | slice | npt.NDArray[Any]) -> Faces:
        """Some of the faces: by number (then there is one), slice, mask or array of numbers."""
        chosen = np.arange(len(self))[index]
        if chosen.ndim == 0:
            chosen = chosen[None]
        return Faces(
            self.boxes[chosen],
            self.keypoints[chosen],
            self.scores[chosen],
            tuple(self.ids[i] for i in chosen.tolist()),
            self.predicted[chosen],
        )

    def __iter__(self) -> Iterator[Faces]:
        return (self[i] for i in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Faces):
            return NotImplemented
        return (
            self.ids == other.ids
            and np.array_equal(self.points, other.points)
            and np.array_equal(self.scores, other.scores)
            and np.array_equal(self.predicted, other.predicted)
        )

    __hash__ = None  # type: ignore[assignment]  # arrays can be altered

    def __repr__(self) -> str:
        listed = [
            f'{score:.2f} at {x0:.0f},{y0:.0f} {x1 - x0:.0f}x{y1 - y0:.0f} {name}'.rstrip()
            for (x0, y0, x1, y1), score, name in zip(
                self.boxes[:MOST_IN_REPR].tolist(), self.scores.tolist(), self.ids
            )
        ]
        if len(self) > MOST_IN_REPR:
            listed.append('…')
        return f'Faces({len(self)}{": " if listed else ""}{", ".join(listed)})'

    def limited(self, most: int) -> Faces:
        """The first faces, at most this many; 0: all of them."""
        return self[:most] if 0 < most < len(self) else self

    def scaled(self, factor: float) -> Faces:
        """The same faces in a picture that is larger by this factor."""
        return replace(self, boxes=self.boxes * factor, keypoints=self.keypoints * factor)

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values, for JSON.

        Returns:
            `{'faces': [{'box': [x0, y0, x1, y1], 'score': s, 'keypoints': {name: [x, y]}}]}`, in
            pixels; tracked faces also have `'id'` and `'predicted'`.
        """
        return {'faces': [self._face_as_dict(i) for i in range(len(self))]}

    def _face_as_dict(self, i: int) -> dict[str, Any]:
        def pixels(values: Array) -> list[float]:
            return [round(value, PIXEL_DECIMALS) for value in values.tolist()]

        face: dict[str, Any] = {
            'box': pixels(self.boxes[i]),
            'score': round(float(self.scores[i]), SCORE_DECIMALS),
            'keypoints': dict(zip(KEYPOINT_NAMES, map(pixels, self.keypoints[i]))),
        }
        if self.ids[i]:
            face |= {'id': self.ids[i], 'predicted': bool(self.predicted[i])}
        return face

    def to_supervision(self) -> Any:
        """The same as `supervision.Detections`, which the package `supervision` must provide.

        Returns:
            Detections of class 0, with `data['keypoints']` float32 [N, 6, 2] and `data['id']`. The
            number of each tracker's id is its `tracker_id`.

        Raises:
            ImportError: if supervision is not installed.
        """
        import supervision

        numbers = [name.removeprefix(ID_PREFIX) for name in self.ids]
        tracked = len(self) > 0 and all(map(str.isdecimal, numbers))
        return supervision.Detections(
            xyxy=self.boxes,
            confidence=self.scores,
            class_id=np.zeros(len(self), int),
            tracker_id=np.array(numbers).astype(int) if tracked else None,
            data={'keypoints': self.keypoints, 'id': np.array(self.ids, str)},
        )
