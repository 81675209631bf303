"""What the tests of the core share: faces and frames to work on, and how results are compared."""

import cv2
import numpy as np

from blazeface_ros import Faces

#: Width and height of the frames of `from_afar`.
FRAME_SIZE = 1920, 1080


def faces_in(boxes):
    """Faces in boxes [N, 4], with all keypoints in the middle."""
    corners = np.float32(boxes).reshape(-1, 2, 2)
    middles = corners.mean(axis=1, keepdims=True)
    points = np.concatenate([corners, np.repeat(middles, 6, axis=1)], axis=1)
    return Faces.from_points(points, np.full(len(points), 0.9))


def from_afar(picture, scale, x, y):
    """A frame, uint8 [1080, 1920, 3], with a picture reduced in it. It must fit at x, y."""
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    width, height = FRAME_SIZE
    frame = np.full((height, width, 3), 120, np.uint8)
    frame[y : y + small.shape[0], x : x + small.shape[1]] = small
    return frame


def shared_with_the_smaller(first, second):
    """Which share of the smaller of two boxes lies in the larger."""
    width, height = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])
    area = min(np.prod(box[2:] - box[:2]) for box in (first, second))
    return max(width, 0) * max(height, 0) / area


def assert_same_faces(first, second, pixels=0.01, score=1e-4):
    """The same faces but for rounding: a network rounds a batch otherwise than one picture."""
    assert len(first) == len(second)
    np.testing.assert_allclose(first.points, second.points, atol=pixels)
    np.testing.assert_allclose(first.scores, second.scores, atol=score)


def assert_same_bits(first, second):
    """The same boxes, keypoints and scores, bit for bit."""
    for name in ('boxes', 'keypoints', 'scores'):
        one, other = getattr(first, name), getattr(second, name)
        assert one.dtype == other.dtype == np.float32
        np.testing.assert_array_equal(one.view(np.uint32), other.view(np.uint32))


# Faces that move

#: Width and height of a face, in pixels.
SIZE = 60.0
#: The box's corners and the keypoints of a face of size 1 around the origin.
FACE = np.array(
    [
        [-0.5, -0.5], [0.5, 0.5],
        [-0.2, -0.15], [0.2, -0.15], [0.0, 0.05], [0.0, 0.25], [-0.4, -0.1], [0.4, -0.1],
    ]
)  # fmt: skip


def faces_at(centres, size=SIZE, random=None, jitter=0.02):
    """Faces around centres [N, 2], detected exactly or, with a generator, with jitter."""
    centres = np.reshape(centres, (-1, 1, 2))
    size = np.broadcast_to(size, len(centres)).reshape(-1, 1, 1)
    points = centres + size * FACE
    if random is not None:
        points = points + random.normal(0, jitter, points.shape) * size
    return Faces.from_points(points.astype(np.float32), np.linspace(0.9, 0.8, len(centres)))


def centres_of(faces):
    """The middles of the boxes, [N, 2]."""
    return (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2


def along(start, velocity, seconds):
    """Where somebody is who starts somewhere and walks at a steady velocity."""
    return np.add(start, np.multiply(velocity, seconds))


def everywhere(boxes):
    """All places were searched."""
    return np.ones(len(boxes), bool)


def nowhere(boxes):
    """No place was searched."""
    return np.zeros(len(boxes), bool)


def within(left, right):
    """Places that lie between two columns of the frame were searched."""
    return lambda boxes: (boxes[:, 0] >= left) & (boxes[:, 2] <= right)
