"""The detector in its own process, over real DDS."""

import array

import cv2
import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from ros_fixtures import NodeProcess, Robot, image_message
from sensor_msgs.msg import Image
from vision_msgs.msg import VisionInfo

from blazeface_ros.ros.images import frame_from_message
from blazeface_ros.ros.messages import from_message


@pytest.fixture(scope='module')
def node():
    process = NodeProcess('detector_node', '-p', 'threads:=1')
    yield process
    process.kill()


@pytest.fixture
def robot(node):
    robot = Robot(node.namespace)
    yield robot
    robot.close()


def test_faces_come_back_as_the_detector_finds_them(robot, detector, scene):
    faces = from_message(robot.ask(image_message(scene)))
    expected = detector.detect(scene)
    np.testing.assert_allclose(faces.boxes, expected.boxes, atol=0.01)
    np.testing.assert_allclose(faces.keypoints, expected.keypoints, atol=0.01)
    np.testing.assert_allclose(faces.scores, expected.scores, atol=1e-4)


def test_stamp_and_frame_come_back_bit_for_bit(robot, astronaut):
    image = image_message(astronaut)
    image.header.stamp.sec, image.header.stamp.nanosec = 2**31 - 1, 999_999_999
    image.header.frame_id = 'Kamera ü/β 1'
    answer = robot.ask(image)
    assert answer.header == image.header
    assert all(detection.header == image.header for detection in answer.detections)


def test_zero_stamps_pass_through(robot, astronaut):
    image = image_message(astronaut)
    image.header.stamp.sec = image.header.stamp.nanosec = 0
    assert robot.ask(image).header == image.header


def test_padded_rows_give_the_same_faces(robot, scene):
    plain = from_message(robot.ask(image_message(scene)))
    padded = from_message(robot.ask(image_message(scene, padding=64)))
    np.testing.assert_array_equal(plain.boxes, padded.boxes)
    np.testing.assert_array_equal(plain.keypoints, padded.keypoints)


def test_a_picture_without_faces_gives_an_empty_message(robot):
    assert robot.ask(image_message(np.zeros((480, 640, 3), np.uint8))).detections == []


@pytest.mark.parametrize('reliability', [ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE])
def test_publishers_of_either_reliability_are_heard(robot, astronaut, reliability):
    # Small enough for Fast DDS's default segment: best effort loses most larger ones.
    small = cv2.resize(astronaut, (256, 256))
    answer = robot.ask(image_message(small), reliability=reliability)
    assert len(answer.detections) == 1


def test_the_overlay_is_drawn_only_while_someone_listens(robot, detector, astronaut):
    # What is not drawn cannot be seen from outside; that nothing is sent can: a listener that
    # comes later gets only pictures of images published after it came.
    for _ in range(3):
        robot.ask(image_message(astronaut))
    robot.spin(0.6)
    overlays = []
    listener = robot.node.create_subscription(Image, 'faces/overlay', overlays.append, 10)
    robot.spin(1.0)
    assert overlays == []
    image = image_message(astronaut)
    robot.ask(image)
    robot.until(lambda: overlays, 'an overlay comes')
    assert overlays[-1].header == image.header
    picture = frame_from_message(overlays[-1]).pixels
    x0, y0, x1, y1 = detector.detect(astronaut).boxes[0].round().astype(int)
    drawn = (picture != astronaut).any(axis=2)
    assert drawn[y0, x0:x1].all()
    assert drawn[y0:y1, x0].all()
    assert drawn.mean() < 0.1
    robot.node.destroy_subscription(listener)


def test_a_late_listener_is_told_the_model_and_what_runs_it(robot):
    infos = []
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    robot.node.create_subscription(VisionInfo, 'faces/vision_info', infos.append, latched)
    robot.until(lambda: infos, 'vision_info comes')
    assert 'BlazeFace back on ONNX Runtime' in infos[0].method
    assert infos[0].database_location.endswith('blazeface_back.onnx')


def test_the_score_threshold_changes_while_it_runs(robot, scene):
    assert robot.set_parameter('score_threshold', 0.9).successful
    assert len(robot.ask(image_message(scene)).detections) == 2
    assert robot.set_parameter('score_threshold', 0.0).successful
    assert len(robot.ask(image_message(scene)).detections) == 5


@pytest.mark.parametrize(
    ('name', 'value', 'reason'),
    [('score_threshold', 1.5, 'range'), ('model', 'front', 'read-only')],
)
def test_a_wrong_or_fixed_parameter_is_refused_with_the_reason(robot, name, value, reason):
    result = robot.set_parameter(name, value)
    assert not result.successful
    assert reason in result.reason


def malformed(astronaut):
    """One broken image of each kind, over and over."""
    rows = astronaut[:4]
    while True:
        for changes in (
            {'step': 0},
            {'data': array.array('B', b'short')},
            {'width': 0},
            {'encoding': 'purple'},
            {'encoding': 'mono16', 'step': 1024},
            {'height': 100_000},
        ):
            image = image_message(rows)
            for name, value in changes.items():
                setattr(image, name, value)
            yield image


def test_a_thousand_malformed_images_cost_only_themselves(node, robot, astronaut):
    broken = malformed(astronaut)
    camera = robot.camera()
    robot.ask(image_message(astronaut))  # from here on the connection stands
    for _ in range(20):
        for _ in range(50):
            camera.publish(next(broken))
            robot.spin(0.002)
        good = image_message(astronaut)
        camera.publish(good)  # once
        robot.until(lambda good=good: robot.answer(good), 'a good image is answered')
        assert len(robot.answer(good).detections) == 1
    assert node.alive


def test_the_lifecycle_can_be_walked_and_ends_where_it_began(robot, astronaut):
    for _ in range(3):
        assert robot.change_state(Transition.TRANSITION_DEACTIVATE)
        assert robot.change_state(Transition.TRANSITION_CLEANUP)
        assert robot.change_state(Transition.TRANSITION_CONFIGURE)
        assert robot.change_state(Transition.TRANSITION_ACTIVATE)
    robot.until(robot.camera().get_subscription_count, 'the node subscribes again')
    assert len(robot.ask(image_message(astronaut)).detections) == 1


def test_a_transition_that_its_state_does_not_have_is_refused(robot, astronaut):
    robot.ask(image_message(astronaut))
    assert not robot.change_state(Transition.TRANSITION_CONFIGURE)
    assert not robot.change_state(Transition.TRANSITION_ACTIVATE)
    assert robot.ask(image_message(astronaut))


def test_without_autostart_it_waits_to_be_configured():
    process = NodeProcess('detector_node', '-p', 'autostart:=false')
    robot = Robot(process.namespace)
    try:
        robot.until(
            lambda: ('detector', process.namespace)
            in robot.node.get_node_names_and_namespaces(),
            'the node appears',
        )
        robot.spin(0.5)
        assert robot.node.count_publishers('faces') == 0
    finally:
        robot.close()
        process.kill()


@pytest.mark.parametrize(
    ('parameter', 'sentence'),
    [
        (
            'score_threshold:=2.0',
            "parameter 'score_threshold' is 2.0; it must be a number from 0.0 to 1.0",
        ),
        ('backend:=banana', "parameter 'backend' is 'banana'; it must be one of onnxruntime"),
        ('threads:=many', "parameter 'threads' is 'many'; it must be a whole number from 0"),
        ('device:=gpu9', "device 'gpu9' is unknown to backend 'onnxruntime'"),
        ('model:=/nowhere.onnx', "model '/nowhere.onnx' is neither a known name"),
    ],
)
def test_a_wrong_parameter_ends_it_at_once_with_one_sentence(parameter, sentence):
    code, printed = NodeProcess('detector_node', '-p', parameter).wait()
    assert code == 1
    assert sentence in printed
    assert len(printed.strip().splitlines()) == 1


def test_whole_numbers_are_taken_for_numbers():
    process = NodeProcess('detector_node', '-p', 'score_threshold:=1')
    robot = Robot(process.namespace)
    try:
        assert robot.ask(image_message(np.zeros((9, 9, 3), np.uint8))).detections == []
    finally:
        robot.close()
        process.kill()


def test_topics_can_be_remapped(astronaut):
    process = NodeProcess('detector_node', '-r', 'image_raw:=/front/camera/image')
    robot = Robot(process.namespace)
    try:
        answer = robot.ask(image_message(astronaut), topic='/front/camera/image')
        assert len(answer.detections) == 1
    finally:
        robot.close()
        process.kill()


@pytest.mark.parametrize('times', [1, 3])
def test_an_interrupt_ends_it_within_two_seconds_with_exit_code_0(astronaut, times):
    process = NodeProcess('detector_node')
    robot = Robot(process.namespace)
    try:
        robot.ask(image_message(astronaut))
        code, seconds, printed = process.interrupt(times)
    finally:
        robot.close()
        process.kill()
    assert code == 0, printed
    assert seconds < 2
    assert 'Traceback' not in printed
