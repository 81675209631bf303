"""Messages and requests that no well-meaning node sends: each costs itself, and never the node."""

import struct

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from ros_fixtures import (
    PORTRAIT,
    compressed_message,
    detector_starter,
    encoded,
    image_message,
)
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import String

pytestmark = [pytest.mark.ros, pytest.mark.network]

#: A type of parameters that ROS does not have.
UNKNOWN_TYPE = 10
LONG_TEXT = 'x' * 5_000_000


@pytest.fixture
def start():
    with detector_starter() as start:
        yield start


def failed_requests(robot):
    return int(robot.status('network')[2].get('failed requests', 0))


def answers(robot):
    """Whether the node still answers images and requests."""
    assert len(robot.ask(image_message(PORTRAIT)).detections) == 1
    assert robot.state() == 'active'
    return True


# Requests and messages on which rclpy raises errors


@pytest.mark.parametrize('service_type', [SetParameters, SetParametersAtomically])
def test_a_parameter_of_an_unknown_type_costs_only_that_request(start, service_type):
    node, robot = start()
    name = {
        SetParameters: 'detector/set_parameters',
        SetParametersAtomically: 'detector/set_parameters_atomically',
    }[service_type]
    value = ParameterValue(type=UNKNOWN_TYPE)
    bad = service_type.Request(parameters=[ParameterMessage(name='max_rate', value=value)])
    assert answers(robot)
    future = robot.send(service_type, name, bad)
    robot.until(lambda: failed_requests(robot) == 1, 'it is counted')
    assert not future.done()
    assert robot.set_parameter('max_faces', 3).successful
    assert answers(robot)
    code, printed = node.interrupt()
    assert (code, 'Traceback' in printed) == (0, False)
    assert "set_parameters' is left out (1 so far)" in printed.replace('_atomically', '')


def test_a_negative_time_on_the_clock_costs_only_that_message(start):
    node, robot = start('use_sim_time:=true')
    clock = robot.node.create_publisher(Clock, '/clock', 1)
    message = Clock()
    message.clock.sec = -5
    robot.until(
        lambda: clock.publish(message) or failed_requests(robot) > 0, 'it comes and is counted'
    )
    assert answers(robot)
    _, printed = node.interrupt()
    assert "'/clock' is left out" in printed


def test_an_image_whose_frame_id_is_not_utf8_is_answered(start):
    _, robot = start()
    assert answers(robot)
    image = image_message(PORTRAIT)
    image.header.frame_id = 'a text'
    serialized = bytes(serialize_message(image))
    assert serialized.count(b'a text') == 1
    robot.camera().publish(serialized.replace(b'a text', b'\xfftext\xff'))
    robot.until(
        lambda: robot.faces[-1].header.frame_id == '\ufffdtext\ufffd', 'it is answered, readably'
    )
    assert answers(robot)


def test_a_message_that_ends_too_early_costs_only_that_message(start):
    _, robot = start('queue_size:=5')
    assert answers(robot)
    serialized = bytes(serialize_message(image_message(PORTRAIT)))
    for length in (4, 8, 40, len(serialized) - 100):
        robot.camera().publish(serialized[:length])
        assert answers(robot)


# Pictures


def test_a_jpeg_that_declares_a_gigapixel_is_not_decoded(start):
    _, robot = start('image_transport:=compressed')
    camera = robot.node.create_publisher(CompressedImage, 'image_raw/compressed', 5)
    robot.until(camera.get_subscription_count, 'the node subscribes')
    picture = encoded(PORTRAIT)
    data = bytes(picture.data)
    size = data.index(b'\xff\xc0') + 5
    bomb = data[:size] + struct.pack('>HH', 32766, 32766) + data[size + 4 :]
    robot.until(
        lambda: (
            camera.publish(compressed_message(bomb))
            or robot.count('unreadable', 'image_raw/compressed') > 0
        ),
        'it is counted',
    )
    assert len(robot.ask_through(camera, picture).detections) == 1


def test_pictures_above_the_limit_are_unreadable_and_no_peer_can_raise_it(start):
    _, robot = start('image_transport:=compressed', 'max_image_pixels:=1000')
    camera = robot.node.create_publisher(CompressedImage, 'image_raw/compressed', 5)
    robot.until(
        lambda: (
            camera.publish(encoded(PORTRAIT)) or robot.count('unreadable', 'image_raw/compressed')
        ),
        'pictures above the limit are unreadable',
    )
    assert not robot.set_parameter('max_image_pixels', 10**9).successful


# Texts


def test_long_texts_are_quoted_in_part(start):
    node, robot = start()
    assert answers(robot)
    image = image_message(PORTRAIT)
    image.encoding = LONG_TEXT
    robot.publish_until(lambda: robot.count('unreadable'), lambda: image, 'it is counted')
    assert answers(robot)
    _, printed = node.interrupt()
    assert 'cannot read an image' in printed
    assert f'({len(LONG_TEXT)} characters)' in printed
    assert len(printed) < 10_000


def test_a_long_frame_id_is_kept_in_the_answer_and_shortened_in_the_overlay(start):
    _, robot = start()
    overlays = robot.watch('faces/overlay')
    image = image_message(PORTRAIT)
    image.header.frame_id = LONG_TEXT
    answer = robot.ask(image)
    assert answer.header.frame_id == LONG_TEXT
    assert answer.detections[0].header.frame_id == LONG_TEXT
    robot.publish_until(lambda: overlays, lambda: image, 'it is drawn')


def test_a_long_text_as_a_parameter_is_refused_with_a_short_reason(start):
    _, robot = start()
    result = robot.set_parameter('search', LONG_TEXT)
    assert not result.successful
    assert 'exhaustive' in result.reason
    assert len(result.reason) < 1000


# Publishers


def test_a_publisher_of_another_type_does_not_change_the_reliability(start):
    _, robot = start()
    best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    assert answers(robot)  # of a reliable camera
    stranger = robot.add_stranger('stranger')
    stranger.create_publisher(String, 'image_raw', best_effort)
    robot.until(lambda: robot.node.count_publishers('image_raw') == 2, 'it is known')
    robot.wait_for_new_reports()
    (subscription,) = robot.node.get_subscriptions_info_by_topic(robot.camera().topic_name)
    assert subscription.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    assert answers(robot)


def test_publishers_of_another_type_are_not_counted_as_cameras(start):
    _, robot = start('lazy:=false')
    stranger = robot.add_stranger('stranger')
    stranger.create_publisher(String, 'image_raw', 1)
    robot.until(lambda: robot.node.count_publishers('image_raw') == 1, 'it is known')
    robot.wait_for_new_reports()
    level, message, _ = robot.status('image_raw')
    assert level == DiagnosticStatus.WARN
    assert 'no publisher(s)' in message


def test_a_second_node_of_the_same_name_is_warned_of_once(start):
    node, robot = start()
    robot.wait_for_new_reports()
    assert 'another node is called' not in node.printed
    namesake = robot.add_stranger('detector')
    robot.until(lambda: 'another node is called' in node.printed, 'it warns')
    robot.wait_for_new_reports()
    assert node.printed.count('another node is called') == 1
    namesake.destroy_node()
