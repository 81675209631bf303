"""The detector in its own process, over real DDS: what it answers."""

import array

import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_fixtures import PORTRAIT, detector_starter, image_message
from vision_msgs.msg import VisionInfo

from blazeface_ros.ros.images import frame_from_message
from blazeface_ros.ros.messages import from_message

pytestmark = [pytest.mark.ros, pytest.mark.network]


@pytest.fixture(scope='module')
def robot():
    """A robot around a detector that answers each image in its turn."""
    with detector_starter() as start:
        yield start('queue_size:=8')[1]


def test_faces_come_back_as_the_detector_finds_them(robot, detector, scene):
    faces = from_message(robot.ask(image_message(scene)))
    expected = detector.detect(scene)
    np.testing.assert_allclose(faces.boxes, expected.boxes, atol=0.01)
    np.testing.assert_allclose(faces.keypoints, expected.keypoints, atol=0.01)
    np.testing.assert_allclose(faces.scores, expected.scores, atol=1e-4)


def test_stamp_and_frame_come_back_bit_for_bit(robot):
    image = image_message(PORTRAIT)
    image.header.stamp.sec, image.header.stamp.nanosec = 2**31 - 1, 999_999_999
    image.header.frame_id = 'Kamera ü/β 1'
    answer = robot.ask(image)
    assert answer.header == image.header
    assert all(detection.header == image.header for detection in answer.detections)


def test_a_frame_id_that_looks_like_our_own_marks_comes_back_too(robot):
    image = image_message(PORTRAIT)
    image.header.frame_id = 'PMTSPSN\x0e'
    answer = robot.ask(image)
    assert len(answer.detections) == 1
    assert answer.detections[0].header == image.header


def test_zero_stamps_pass_through(robot):
    image = image_message(PORTRAIT)
    image.header.stamp.sec = image.header.stamp.nanosec = 0
    assert robot.ask(image).header == image.header


def test_padded_rows_give_the_same_faces(robot, scene):
    plain = from_message(robot.ask(image_message(scene)))
    padded = from_message(robot.ask(image_message(scene, padding=64)))
    assert plain == padded


def test_a_picture_without_faces_gives_an_empty_message(robot):
    assert robot.ask(image_message(np.zeros((480, 640, 3), np.uint8))).detections == []


def test_the_overlay_is_the_image_with_its_faces_drawn(robot, detector, astronaut):
    overlays = robot.watch('faces/overlay')
    image = image_message(astronaut)
    # The first overlay may be that of the image before.
    robot.publish_until(
        lambda: overlays and overlays[-1].header == image.header, lambda: image, 'an overlay comes'
    )
    picture = frame_from_message(overlays[-1]).pixels
    x0, y0, x1, y1 = detector.detect(astronaut).boxes[0].round().astype(int)
    drawn = (picture != astronaut).any(axis=2)
    assert drawn[y0, x0:x1].all()
    assert drawn[y0:y1, x0].all()
    assert drawn.mean() < 0.1


def test_a_late_listener_is_told_the_model_and_what_runs_it(robot):
    infos = []
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    robot.node.create_subscription(VisionInfo, 'faces/vision_info', infos.append, latched)
    robot.until(lambda: infos, 'vision_info comes')
    assert 'BlazeFace back on ONNX Runtime' in infos[0].method
    assert infos[0].database_location.endswith('blazeface_back.onnx')


def test_stamps_that_jump_back_do_not_confuse_it(robot):
    robot.ask(image_message(PORTRAIT))
    stamps = [5, 6, 7, 1, 2, 3, 0, 0]
    image = image_message(PORTRAIT)
    image.header.frame_id = 'jumps'

    def answered():
        return [m.header.stamp.sec for m in robot.faces if m.header.frame_id == 'jumps']

    for count, second in enumerate(stamps, 1):
        image.header.stamp.sec = second
        robot.camera().publish(image)
        robot.until(lambda count=count: len(answered()) == count, 'it is answered')
    assert answered() == stamps


MALFORMED = [
    {'step': 0},
    {'data': array.array('B', b'short')},
    {'data': array.array('B')},
    {'width': 0},
    {'encoding': 'purple'},
    {'encoding': 'mono16', 'step': 511},
    {'height': 100_000},
    {'height': 1, 'width': 40_000, 'step': 40_000, 'encoding': 'mono8'},
]


def test_malformed_images_cost_only_themselves_and_are_counted(robot):
    robot.ask(image_message(PORTRAIT))  # from here on the connection stands
    unreadable, lost = robot.count('unreadable'), robot.count('lost')
    rounds = 10
    for changes in MALFORMED * rounds:
        broken = image_message(PORTRAIT)
        for name, value in changes.items():
            setattr(broken, name, value)
        robot.camera().publish(broken)
        # The node has a queue: whatever comes before is read before.
        assert len(robot.ask(image_message(PORTRAIT), once=True).detections) == 1
    expected = unreadable + rounds * len(MALFORMED)
    robot.until(lambda: robot.count('unreadable') >= expected, 'all are counted')
    assert robot.count('unreadable') == expected
    assert robot.count('lost') == lost
    assert robot.status('network')[1] == 'running'
