"""`Faces` ↔ vision_msgs/Detection2DArray.

Each detection's results[0] is the face itself, results[1:] are the keypoints in order: their names
as class_id, their pixels as pose.position, score 0 because BlazeFace gives none (so a consumer
that takes the best-scored result gets the face).
"""

from __future__ import annotations

import numpy as np
from std_msgs.msg import Header
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

from blazeface_ros.faces import KEYPOINT_NAMES, Faces

FACE_CLASS = 'face'


def to_message(faces: Faces, header: Header) -> Detection2DArray:
    """Make the message that tells of the faces of one image.

    Args:
        faces: in pixels of the image.
        header: the image's own, kept untouched.
    """
    message = Detection2DArray(header=header)
    for box, keypoints, score, name in zip(
        faces.boxes.tolist(), faces.keypoints.tolist(), faces.scores.tolist(), faces.ids
    ):
        x0, y0, x1, y1 = box
        detection = Detection2D(header=header, id=name)
        detection.bbox.center.position.x = (x0 + x1) / 2
        detection.bbox.center.position.y = (y0 + y1) / 2
        detection.bbox.size_x = x1 - x0
        detection.bbox.size_y = y1 - y0
        face = ObjectHypothesisWithPose()
        face.hypothesis.class_id = FACE_CLASS
        face.hypothesis.score = score
        detection.results.append(face)
        for keypoint_name, (x, y) in zip(KEYPOINT_NAMES, keypoints):
            keypoint = ObjectHypothesisWithPose()
            keypoint.hypothesis.class_id = keypoint_name
            keypoint.pose.pose.position.x = x
            keypoint.pose.pose.position.y = y
            detection.results.append(keypoint)
        message.detections.append(detection)
    return message


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
