"""`Faces` ↔ vision_msgs/Detection2DArray.

Each detection's results[0] is the face itself, results[1:] are the keypoints in order: their names
as class_id, their pixels as pose.position. Their score is 0, because BlazeFace gives none, and so
that a consumer who takes the result with the best score gets the face.
"""

from __future__ import annotations

import itertools
import string
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from rclpy.serialization import serialize_message
from std_msgs.msg import Header
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

from blazeface_ros.core.faces import KEYPOINT_NAMES, Faces

FACE_CLASS = 'face'
#: How many numbers a message has for each face: box centre x, y, width, height, score, keypoints.
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
    """Make the message with the faces of one image.

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
#: What stands for the characters of ids in a template. Each message takes other letters, as the
#: bytes between its fields may be those of an older message.
_LETTERS = itertools.cycle(string.ascii_letters)
#: Messages with a longer frame_id, in characters, have no template, which would keep it.
MOST_FRAME_ID = 256
#: What stands for the stamp in a template: seconds and nanoseconds.
_STAMP_MARK = 0x53544D50, 0x0E4E5350


class _Template(NamedTuple):
    """A serialized message, and where in it stands what differs from image to image.

    Attributes:
        message: uint8; its length is `ENCAPSULATION` and a multiple of 8.
        length: of the message without what was added to that end.
        numbers: which float64 after the encapsulation are box centre x, y, width, height, score
            and keypoints, face by face, int [17 * N].
        stamps: which uint32 there are seconds, and nanoseconds after them, int [N + 1].
        ids: which bytes there are the characters of the ids, face by face, int [all lengths].
    """

    message: npt.NDArray[np.uint8]
    length: int
    numbers: npt.NDArray[np.intp]
    stamps: npt.NDArray[np.intp]
    ids: npt.NDArray[np.intp]


@lru_cache(maxsize=64)
def _template(frame_id: str, id_lengths: tuple[int, ...]) -> _Template | None:
    """Serialize a message whose values are marks, and find these again.

    Args:
        frame_id: of the header.
        id_lengths: of each face's id, in bytes. The ids themselves may change.

    Returns:
        None if the marks are not where they should be, as a middleware may serialize otherwise.
    """
    count = len(id_lengths)
    marks = -1e100 * np.arange(1, 1 + count * NUMBERS).reshape(-1, NUMBERS)
    header = Header(frame_id=frame_id)
    header.stamp.sec, header.stamp.nanosec = _STAMP_MARK

    def serialized(letter: str) -> bytes:
        message = Detection2DArray(header=header)
        message.detections = [
            _detection(row, letter * length, header)
            for row, length in zip(marks.tolist(), id_lengths)
        ]
        return bytes(serialize_message(message))

    letters = next(_LETTERS), next(_LETTERS)
    first, second = map(serialized, letters)
    fields = first[ENCAPSULATION:]
    fields += bytes(-len(fields) % 8)
    values = np.frombuffer(fields, np.float64)
    marked = np.isin(values, marks).nonzero()[0]
    numbers = marked[np.argsort(-values[marked])]
    words = np.frombuffer(fields, np.uint32)
    stamps = ((words[:-1] == _STAMP_MARK[0]) & (words[1:] == _STAMP_MARK[1])).nonzero()[0]
    # Only there do both messages have their own letter.
    has_letter = [
        np.frombuffer(message, np.uint8) == ord(letter)
        for message, letter in zip((first, second), letters)
    ]
    ids = np.logical_and(*has_letter).nonzero()[0] - ENCAPSULATION
    found = len(numbers) == marks.size and np.array_equal(values[numbers], marks.ravel())
    if not found or len(stamps) != 1 + count or len(ids) != sum(id_lengths):
        return None
    message = np.frombuffer(first[:ENCAPSULATION] + fields, np.uint8)
    return _Template(message, len(first), numbers, stamps, ids)


def serialize(faces: Faces, header: Header) -> bytes | Detection2DArray:
    """Make the message of `to_message` in the form in which it is sent.

    A publisher takes either. To make a face's 80 Python objects and have rclpy read them again
    takes 0.1 ms. To write its numbers into a message that was serialized before takes 1 µs.

    Args:
        faces: in pixels of the image.
        header: the image's own, kept untouched.
    """
    if len(header.frame_id) > MOST_FRAME_ID:
        return to_message(faces, header)
    ids = [name.encode() for name in faces.ids]
    template = _template(header.frame_id, tuple(map(len, ids)))
    if template is None:
        return to_message(faces, header)
    message = template.message.copy()
    fields = message[ENCAPSULATION:]
    fields.view(np.float64)[template.numbers] = _numbers(faces).ravel()
    fields.view(np.int32)[template.stamps] = header.stamp.sec
    fields.view(np.uint32)[template.stamps + 1] = header.stamp.nanosec
    fields[template.ids] = np.frombuffer(b''.join(ids), np.uint8)
    return message[: template.length].tobytes()


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
        return Faces.empty()
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
