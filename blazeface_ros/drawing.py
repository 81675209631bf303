"""Draws faces on pictures, for people to look at."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from blazeface_ros.faces import Faces

#: In bgr, one a keypoint in `KEYPOINT_NAMES` order. The subject's right is warm, the left cool.
KEYPOINT_COLORS = (
    (60, 60, 255),
    (255, 140, 0),
    (0, 255, 255),
    (255, 0, 255),
    (0, 160, 255),
    (255, 255, 0),
)
BOX_COLOR = (80, 255, 80)
TEXT_COLOR = (0, 0, 0)


def draw_faces(bgr: npt.NDArray[np.uint8], faces: Faces) -> None:
    """Draw boxes, keypoints and scores onto a picture.

    Args:
        bgr: uint8 [H, W, 3], altered in place.
        faces: in pixels of the picture.
    """
    thickness = max(1, round(min(bgr.shape[:2]) / 240))
    font, font_scale = cv2.FONT_HERSHEY_SIMPLEX, 0.25 + 0.15 * thickness
    for box, keypoints, score, name in zip(faces.boxes, faces.keypoints, faces.scores, faces.ids):
        x0, y0, x1, y1 = (int(value) for value in box.round())
        cv2.rectangle(bgr, (x0, y0), (x1, y1), BOX_COLOR, thickness, cv2.LINE_AA)
        for (x, y), color in zip(keypoints.round().astype(int).tolist(), KEYPOINT_COLORS):
            cv2.circle(bgr, (x, y), thickness + 1, color, cv2.FILLED, cv2.LINE_AA)
        label = f'{name} {score:.2f}'.strip()
        (width, height), baseline = cv2.getTextSize(label, font, font_scale, max(1, thickness // 2))
        bottom = max(y0, height + baseline)  # inside the picture, also for a face at its top
        cv2.rectangle(
            bgr, (x0, bottom - height - baseline), (x0 + width, bottom), BOX_COLOR, cv2.FILLED
        )
        cv2.putText(
            bgr,
            label,
            (x0, bottom - baseline // 2),
            font,
            font_scale,
            TEXT_COLOR,
            max(1, thickness // 2),
            cv2.LINE_AA,
        )
