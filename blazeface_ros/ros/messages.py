"""`Faces` ↔ vision_msgs/Detection2DArray.

Each detection's results[0] is the face itself, results[1:] are the keypoints in order: their names
as class_id, their pixels as pose.position, score 0 because BlazeFace gives none (so a consumer
that takes the best-scored result gets the face).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from std_msgs.msg import Header
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

from blazeface_ros.faces import KEYPOINT_NAMES, Faces

FACE_CLASS = 'face'


class _Blank(NamedTuple):
    """A detection with its names filled in, and the parts of it that each face fills anew."""

    detection: Detection2D
    center: Any
    hypothesis: Any
    keypoints: list[Any]

    @classmethod
    def make(cls) -> _Blank:
        results = [ObjectHypothesisWithPose() for _ in (FACE_CLASS, *KEYPOINT_NAMES)]
        for result, name in zip(results, (FACE_CLASS, *KEYPOINT_NAMES)):
            result.hypothesis.class_id = name
        detection = Detection2D(results=results)
        return cls(
            detection,
            detection.bbox.center.position,
            results[0].hypothesis,
            [result.pose.pose.position for result in results[1:]],
        )


class MessageWriter:
    """Writes faces into one message, over and over.

    Making a face's 80 Python objects takes 30 times as long as filling them in.
    """

    def __init__(self) -> None:
        self._blanks: list[_Blank] = []

    def write(self, faces: Faces, header: Header) -> Detection2DArray:
        """Make the message that tells of the faces of one image.

        Args:
            faces: in pixels of the image.
            header: the image's own, kept untouched.

        Returns:
            A message whose detections are valid until the next call.
        """
        while len(self._blanks) < len(faces):
            self._blanks.append(_Blank.make())
        used = self._blanks[: len(faces)]
        for blank, (x0, y0, x1, y1), points, score, name in zip(
            used, faces.boxes.tolist(), faces.keypoints.tolist(), faces.scores.tolist(), faces.ids
        ):
            detection, center, hypothesis, keypoints = blank
            detection.header = header
            detection.id = name
            center.x = (x0 + x1) / 2
            center.y = (y0 + y1) / 2
            detection.bbox.size_x = x1 - x0
            detection.bbox.size_y = y1 - y0
            hypothesis.score = score
            for keypoint, (x, y) in zip(keypoints, points):
                keypoint.x = x
                keypoint.y = y
        return Detection2DArray(header=header, detections=[blank.detection for blank in used])


def to_message(faces: Faces, header: Header) -> Detection2DArray:
    """Make a message of its own; see `MessageWriter.write`."""
    return MessageWriter().write(faces, header)


def from_message(message: Detection2DArray) -> Faces:
    """Read the faces out of a message made by `to_message`, for consumers in Python.

    Detections that are not such a face are passed over.
    """
    expected = [FACE_CLASS, *KEYPOINT_NAMES]
    detections = [
        detection
        for detection in message.detections
        if [result.hypothesis.class_id for result in detection.results] == expected
    ]
    if not detections:
        return Faces.none()
    boxes, keypoints = [], []
    for detection in detections:
        center = detection.bbox.center.position
        half_x, half_y = detection.bbox.size_x / 2, detection.bbox.size_y / 2
        boxes.append([center.x - half_x, center.y - half_y, center.x + half_x, center.y + half_y])
        positions = [result.pose.pose.position for result in detection.results[1:]]
        keypoints.append([[position.x, position.y] for position in positions])
    return Faces(
        np.array(boxes, np.float32),
        np.array(keypoints, np.float32),
        np.array([d.results[0].hypothesis.score for d in detections], np.float32),
        tuple(d.id for d in detections),
    )
