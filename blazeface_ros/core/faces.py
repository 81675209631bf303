"""The one result type: what was found in one frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

#: BlazeFace's keypoints in the network's own order; left and right are the subject's own.
KEYPOINT_NAMES = (
    'right_eye',
    'left_eye',
    'nose_tip',
    'mouth_center',
    'right_ear_tragion',
    'left_ear_tragion',
)


@dataclass(frozen=True)
class Faces:
    """Faces of one frame as parallel arrays, best score first.

    Attributes:
        boxes: float32 [N, 4], x0, y0, x1, y1 in pixels of the frame, not clipped to it.
        keypoints: float32 [N, 6, 2], x, y in pixels of the frame, in `KEYPOINT_NAMES` order.
        scores: float32 [N], between 0 and 1.
        ids: N strings, each empty as long as faces are not tracked.
    """

    boxes: npt.NDArray[np.float32]
    keypoints: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    ids: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.ids:
            object.__setattr__(self, 'ids', ('',) * len(self.scores))
        count = len(self.scores)
        shapes = self.boxes.shape, self.keypoints.shape, len(self.ids)
        if shapes != ((count, 4), (count, len(KEYPOINT_NAMES), 2), count):
            raise ValueError(
                f'{count} scores need boxes [{count}, 4], keypoints [{count}, 6, 2] and {count} '
                f'ids; got {shapes[0]}, {shapes[1]} and {shapes[2]}'
            )

    def __len__(self) -> int:
        return len(self.scores)

    def best(self, count: int) -> Faces:
        """The first faces, at most so many."""
        return Faces(
            self.boxes[:count], self.keypoints[:count], self.scores[:count], self.ids[:count]
        )

    def scaled(self, factor: float) -> Faces:
        """The same faces in a picture so many times as large."""
        return Faces(self.boxes * factor, self.keypoints * factor, self.scores, self.ids)

    @classmethod
    def none(cls) -> Faces:
        """No faces."""
        return cls(
            np.empty((0, 4), np.float32),
            np.empty((0, len(KEYPOINT_NAMES), 2), np.float32),
            np.empty(0, np.float32),
        )
