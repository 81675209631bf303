"""Faces as messages and back, without a node."""

import json
from pathlib import Path

import numpy as np
import pytest
import vision_msgs
from std_msgs.msg import Header
from vision_msgs.msg import Detection2D, Detection2DArray

from blazeface_ros import KEYPOINT_NAMES, Faces
from blazeface_ros.ros.messages import from_message, to_message

pytestmark = pytest.mark.ros

OFFICIAL_TYPE_HASHES = {
    'Detection2DArray': '214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968',
    'Detection2D': '0d12b69df5c593b3455b7346fac8205437a7d4bcb09b9e0e0b2dde787ded38ea',
    'BoundingBox2D': '008eacbb0cf8f26e83795547bed013eec3675485ef386ec056d80eaaf1c1ce2f',
    'Pose2D': 'b0b5d1d7b4c20dd4fcde3ed1d4b289a919290572007d67a97043814db25d3648',
    'Point2D': 'eab0e83f44ab4de92ceaf76dd7d0e7638f2bdd1d16ffbe16c7a136c48e407247',
    'ObjectHypothesisWithPose': '41c12344c0396c48b81df12467c192d99b2a0eb1463c5c37194e4223251c80bc',
    'ObjectHypothesis': '51da43cec11c01957a64d1e05a24acd18aae7745ec30b74348ad5f6d634f7f90',
    'VisionInfo': '95d3116a17484ad91c9a2686e1d54890bbfc3ff6c6a2de137738c4950d45d284',
    'LabelInfo': '3d37df4015cdf660cc851c51897f2acd957e1ca6205ba0a99aebffb9406b0783',
}


@pytest.fixture
def two_faces():
    rng = np.random.default_rng(1)
    return Faces(
        np.float32([[10, 20, 30, 50], [-5.5, 0, 7.25, 9]]),
        rng.uniform(0, 99, (2, 6, 2)).astype(np.float32),
        np.float32([0.9, 0.7]),
        ('f0007', ''),
    )


@pytest.mark.parametrize(('name', 'expected'), OFFICIAL_TYPE_HASHES.items())
def test_vision_msgs_has_the_official_type_hash(name, expected):
    for folder in Path(vision_msgs.__file__).parents:
        description = folder / 'share' / 'vision_msgs' / 'msg' / f'{name}.json'
        if description.is_file():
            break
    hashes = {
        entry['type_name']: entry['hash_string']
        for entry in json.loads(description.read_text())['type_hashes']
    }
    assert hashes[f'vision_msgs/msg/{name}'] == f'RIHS01_{expected}'


def test_the_message_holds_what_the_contract_says(two_faces):
    header = Header(frame_id='camera')
    header.stamp.sec = 5
    message = to_message(two_faces, header)
    assert message.header == header
    first, second = message.detections
    assert first.header == header
    assert (first.id, second.id) == ('f0007', '')
    assert (first.bbox.center.position.x, first.bbox.center.position.y) == (20, 35)
    assert (first.bbox.size_x, first.bbox.size_y) == (20, 30)
    assert first.results[0].hypothesis.class_id == 'face'
    assert first.results[0].hypothesis.score == pytest.approx(0.9)
    assert [r.hypothesis.class_id for r in first.results[1:]] == list(KEYPOINT_NAMES)
    assert all(r.hypothesis.score == 0 for r in first.results[1:])
    for result, (x, y) in zip(second.results[1:], two_faces.keypoints[1]):
        position, orientation = result.pose.pose.position, result.pose.pose.orientation
        assert (position.x, position.y, position.z) == (x, y, 0)
        assert (orientation.x, orientation.y, orientation.z, orientation.w) == (0, 0, 0, 1)


def test_faces_come_back_out_of_their_message(two_faces):
    faces = from_message(to_message(two_faces, Header()))
    np.testing.assert_allclose(faces.boxes, two_faces.boxes)
    np.testing.assert_allclose(faces.keypoints, two_faces.keypoints)
    np.testing.assert_allclose(faces.scores, two_faces.scores)
    assert faces.ids == two_faces.ids


def test_no_faces_make_an_empty_message_and_back():
    message = to_message(Faces.empty(), Header())
    assert message.detections == []
    assert from_message(message) == Faces.empty()


def test_detections_of_other_detectors_are_passed_over(two_faces):
    message = to_message(two_faces, Header())
    message.detections.insert(0, Detection2D())
    assert from_message(message).ids == two_faces.ids
    assert len(from_message(Detection2DArray(detections=[Detection2D()]))) == 0
