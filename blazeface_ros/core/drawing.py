"""Drawing faces on pictures, for people to look at."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

from blazeface_ros.core.faces import Faces
from blazeface_ros.core.tiles import Tile

Color = tuple[int, int, int]

#: Colours in bgr, one for each keypoint in `KEYPOINT_NAMES` order. Those on the subject's right are
#: warm, those on the left cool.
KEYPOINT_COLORS: tuple[Color, ...] = (
    (60, 60, 255),
    (255, 140, 0),
    (0, 255, 255),
    (255, 0, 255),
    (0, 160, 255),
    (255, 255, 0),
)
BOX_COLOR = (80, 255, 80)
#: Of faces that were not looked for in the frame.
PREDICTED_COLOR = (160, 200, 160)
TRAIL_COLOR = (255, 200, 80)
TILE_COLOR = (200, 200, 200)
CAPTION_COLOR = (230, 230, 230)
TEXT_COLOR = (0, 0, 0)


def draw_faces(bgr: npt.NDArray[np.uint8], faces: Faces, caption: str = '') -> None:
    """Draw boxes, keypoints, scores and ids onto a picture. Boxes of predicted faces are pale.

    Args:
        bgr: uint8 [H, W, 3], altered in place.
        faces: in pixels of the picture.
        caption: a line for the lower left corner.
    """
    thickness = _thickness(bgr)
    for face in faces:
        color = PREDICTED_COLOR if face.predicted[0] else BOX_COLOR
        x0, y0, x1, y1 = face.boxes[0].round().astype(int).tolist()
        cv2.rectangle(bgr, (x0, y0), (x1, y1), color, thickness, cv2.LINE_AA)
        points = face.keypoints[0].round().astype(int).tolist()
        for (x, y), point_color in zip(points, KEYPOINT_COLORS):
            cv2.circle(bgr, (x, y), thickness + 1, point_color, cv2.FILLED, cv2.LINE_AA)
        _label(bgr, f'{face.ids[0]} {face.scores[0]:.2f}'.strip(), x0, y0, color, thickness)
    if caption:
        _label(bgr, caption, 0, bgr.shape[0], CAPTION_COLOR, thickness)


def draw_trails(
    bgr: npt.NDArray[np.uint8], trails: Iterable[npt.NDArray[np.float32]], scale: float = 1.0
) -> None:
    """Draw where tracked faces have been.

    Args:
        bgr: uint8 [H, W, 3], altered in place.
        trails: centres of each face, float32 [P, 2] in pixels of the frame, newest last.
        scale: size of the picture as a share of the frame.
    """
    lines = [(trail * scale).round().astype(np.int32) for trail in trails]
    cv2.polylines(bgr, lines, False, TRAIL_COLOR, _thickness(bgr), cv2.LINE_AA)


def draw_tiles(bgr: npt.NDArray[np.uint8], tiles: Iterable[Tile], scale: float = 1.0) -> None:
    """Draw which tiles were searched.

    Args:
        bgr: uint8 [H, W, 3], altered in place.
        tiles: in pixels of the frame.
        scale: size of the picture as a share of the frame.
    """
    for tile in tiles:
        x0, y0, size = (round(value * scale) for value in tile[:3])
        cv2.rectangle(bgr, (x0, y0), (x0 + size - 1, y0 + size - 1), TILE_COLOR, 1)


def _thickness(bgr: npt.NDArray[np.uint8]) -> int:
    return max(1, int(min(bgr.shape[:2]) / 240 + 0.5))


def _label(
    bgr: npt.NDArray[np.uint8], text: str, left: int, bottom: int, color: Color, thickness: int
) -> None:
    """Write a text on a filled box whose lower left corner is the point, if it fits there."""
    font, font_scale = cv2.FONT_HERSHEY_SIMPLEX, 0.25 + 0.15 * thickness
    stroke = max(1, thickness // 2)
    (width, height), baseline = cv2.getTextSize(text, font, font_scale, stroke)
    height += baseline
    bottom = max(bottom, height)
    cv2.rectangle(bgr, (left, bottom - height), (left + width, bottom), color, cv2.FILLED)
    anchor = (left, bottom - baseline // 2)
    cv2.putText(bgr, text, anchor, font, font_scale, TEXT_COLOR, stroke, cv2.LINE_AA)
