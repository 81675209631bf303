"""`Faces` ↔ vision_msgs/Detection2DArray.

Each detection's results[0] is the face itself, results[1:] are the keypoints in order: their names
as class_id, their pixels as pose.position, score 0 because BlazeFace gives none (so a consumer
that takes the best-scored result gets the face).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from rclpy.serialization import serialize_message
from std_msgs.msg import Header
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

from blazeface_ros.core.faces import KEYPOINT_NAMES, Faces

FACE_CLASS = 'face'


#: Of a face in a message: box centre x, y, width, height, score, keypoints x, y.
NUMBERS = 5 + 2 * len(KEYPOINT_NAMES)


def _numbers(faces: Faces) -> npt.NDArray[np.float64]:
    """What is written of each face, float64 [N, 17]."""
    numbers = np.empty((len(faces), NUMBERS))
    low, high = np.split(faces.boxes.astype(np.float64), 2, axis=1)
    numbers[:, 0:2] = (low + high) / 2
    numbers[:, 2:4] = high - low
    numbers[:, 4] = faces.scores
    numbers[:, 5:] = faces.keypoints.reshape(len(faces), NUMBERS - 5)
    return numbers


def _detection(numbers: list[float], name: str, header: Header) -> Detection2D:
    detection = Detection2D(header=header, id=name)
    center = detection.bbox.center.position
    center.x, center.y, detection.bbox.size_x, detection.bbox.size_y, score = numbers[:5]
    face = ObjectHypothesisWithPose()
    face.hypothesis.class_id = FACE_CLASS
    face.hypothesis.score = score
    detection.results.append(face)
    for keypoint_name, x, y in zip(KEYPOINT_NAMES, numbers[5::2], numbers[6::2]):
        keypoint = ObjectHypothesisWithPose()
        keypoint.hypothesis.class_id = keypoint_name
        keypoint.pose.pose.position.x = x
        keypoint.pose.pose.position.y = y
        detection.results.append(keypoint)
    return detection


def to_message(faces: Faces, header: Header) -> Detection2DArray:
    """Make the message that tells of the faces of one image.

    Args:
        faces: in pixels of the image.
        header: the image's own, kept untouched.
    """
    message = Detection2DArray(header=header)
    message.detections = [
        _detection(row, name, header) for row, name in zip(_numbers(faces).tolist(), faces.ids)
    ]
    return message


#: Bytes before a serialized message's fields, which count their alignment from there.
ENCAPSULATION = 4


class _Layout(NamedTuple):
    """A serialized message, and where in it stands what differs from image to image.

    Attributes:
        template: the message, uint8; its length is `ENCAPSULATION` and a multiple of 8.
        length: of the message without what was added to that end.
        numbers: which float64 after the encapsulation are box centre x, y, width, height, score
            and keypoints, face by face, int [17 * N].
        stamps: which uint32 there are seconds, and nanoseconds after them, int [N + 1].
    """

    template: npt.NDArray[np.uint8]
    length: int
    numbers: npt.NDArray[np.intp]
    stamps: npt.NDArray[np.intp]


@lru_cache(maxsize=64)
def _layout(frame_id: str, ids: tuple[str, ...]) -> _Layout | None:
    """Serialize a message whose values are marks, and find these again.

    Returns:
        None if they are not where they should be, as a middleware may serialize otherwise.
    """
    marks = -1e100 * np.arange(1, 1 + len(ids) * NUMBERS).reshape(-1, NUMBERS)
    header = Header(frame_id=frame_id)
    header.stamp.sec, header.stamp.nanosec = 0x5EC05EC0, 0x0A0B0C0D
    message = Detection2DArray(header=header)
    message.detections = [_detection(row, name, header) for row, name in zip(marks.tolist(), ids)]
    serialized = serialize_message(message)
    fields = serialized[ENCAPSULATION:]
    fields += bytes(-len(fields) % 8)
    template = np.frombuffer(serialized[:ENCAPSULATION] + fields, np.uint8)
    values = np.frombuffer(fields, np.float64)
    # Only these very numbers: what stands between the fields is left to chance.
    marked = np.isin(values, marks).nonzero()[0]
    places = marked[np.argsort(-values[marked])]
    words = np.frombuffer(fields, np.uint32)
    pairs = (words[:-1] == header.stamp.sec) & (words[1:] == header.stamp.nanosec)
    stamps = pairs.nonzero()[0]
    if not np.array_equal(values[places], marks.ravel()) or len(stamps) != 1 + len(ids):
        return None
    return _Layout(template, len(serialized), places, stamps)


def serialize(faces: Faces, header: Header) -> bytes | Detection2DArray:
    """Make the message of `to_message` in the form in which it is sent.

    A publisher takes either. To make a face's 80 Python objects and have rclpy read them again
    takes 0.1 ms; to write its numbers into a message that was serialized before, 1 µs.

    Args:
        faces: in pixels of the image.
        header: the image's own, kept untouched.
    """
    layout = _layout(header.frame_id, faces.ids)
    if layout is None:
        return to_message(faces, header)
    message = layout.template.copy()
    fields = message[ENCAPSULATION:]
    fields.view(np.float64)[layout.numbers] = _numbers(faces).ravel()
    fields.view(np.int32)[layout.stamps] = header.stamp.sec
    fields.view(np.uint32)[layout.stamps + 1] = header.stamp.nanosec
    return message[: layout.length].tobytes()


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
