"""The publishers of one camera, on a real node."""

import numpy as np
import pytest
from ros_fixtures import Robot, image_message
from sensor_msgs.msg import CompressedImage, Image

from blazeface_ros import Faces
from blazeface_ros.core.frame import Frame
from blazeface_ros.core.pipeline import FrameResult
from blazeface_ros.core.tiling import plan_tiles
from blazeface_ros.errors import ImageError
from blazeface_ros.ros.face_publisher import FacePublisher, output_names
from blazeface_ros.ros.images import read_image
from blazeface_ros.ros.messages import from_message
from blazeface_ros.ros.parameters import DetectorParameters

pytestmark = pytest.mark.ros

RAW, COMPRESSED = (Image, 'faces/overlay'), (CompressedImage, 'faces/overlay/compressed')


@pytest.fixture
def robot():
    robot = Robot('/publisher', faces=False)
    yield robot
    robot.close()


def watched(robot, publisher, *outputs):
    """Subscribes to outputs; returns the lists of what comes, and all else that was published."""
    lists = [robot.watch(topic, kind) for kind, topic in outputs]
    robot.until(lambda: publisher.overlay_wanted, 'the publisher knows')
    robot.until(
        lambda: all(s.get_publisher_count() for s in robot.node.subscriptions if 'over' in s.topic),
        'the listeners know',
    )
    return lists


def nothing_found(width, height):
    plan = plan_tiles(width, height, 0, 1 / 14)
    return FrameResult(Faces.empty(), plan.tiles, plan)


def draw(publisher, pixels, **parameters):
    """Publish the overlay of a picture; returns the header."""
    header = image_message(np.zeros((1, 1, 3), np.uint8)).header
    result = nothing_found(pixels.shape[1], pixels.shape[0])
    settings = DetectorParameters(**parameters)
    publisher.publish_overlay(header, Frame(pixels), result, {}, settings)
    return header


def test_the_faces_topic_comes_first_and_overlays_only_if_they_are_offered():
    assert output_names('x', False) == ['x']
    assert output_names('x', True) == ['x', 'x/overlay', 'x/overlay/compressed']


def test_faces_are_published_with_the_header_of_their_image(robot):
    publisher = FacePublisher(robot.node, 'faces', overlay=False)
    robot.listen('faces')
    points = np.arange(32, dtype=np.float32).reshape(2, 8, 2)
    faces = Faces.from_points(points, [0.5, 0.25], ('f0001', 'f0002'))
    header = image_message(np.zeros((1, 1, 3), np.uint8)).header
    robot.until(lambda: robot.faces or publisher.publish_faces(faces, header), 'they come')
    assert robot.faces[0].header == header
    assert from_message(robot.faces[0]) == faces


def test_an_overlay_is_due_only_while_somebody_watches(robot):
    publisher = FacePublisher(robot.node, 'faces', overlay=True)
    assert not publisher.overlay_wanted
    assert not publisher.overlay_due(0)
    watched(robot, publisher, COMPRESSED)
    assert [publisher.overlay_due(0) for _ in range(3)] == [True] * 3
    for subscription in list(robot.node.subscriptions):
        robot.node.destroy_subscription(subscription)
    robot.until(lambda: not publisher.overlay_wanted, 'nobody watches any longer')
    assert not publisher.overlay_due(0)


def test_at_a_rate_of_one_in_a_thousand_seconds_only_the_first_overlay_is_due(robot):
    publisher = FacePublisher(robot.node, 'faces', overlay=True)
    watched(robot, publisher, RAW)
    assert [publisher.overlay_due(0.001) for _ in range(9)] == [True] + [False] * 8
    assert publisher.overlay_due(0), 'a new rate holds at once'


def test_without_an_overlay_none_is_ever_due(robot):
    publisher = FacePublisher(robot.node, 'faces', overlay=False)
    robot.watch('faces/overlay')
    robot.listen('faces')
    header = image_message(np.zeros((1, 1, 3), np.uint8)).header
    robot.until(
        lambda: robot.faces or publisher.publish_faces(Faces.empty(), header), 'it is known'
    )
    assert not publisher.overlay_due(0)


@pytest.mark.parametrize(('scale', 'size'), [(1.0, (48, 64)), (0.5, (24, 32)), (2.0, (96, 128))])
def test_the_overlay_comes_raw_and_compressed_in_its_scale(robot, scale, size):
    publisher = FacePublisher(robot.node, 'faces', overlay=True)
    outputs = watched(robot, publisher, RAW, COMPRESSED)
    header = draw(publisher, np.full((48, 64, 3), 90, np.uint8), overlay_scale=scale)
    robot.until(lambda: all(outputs), 'both come')
    for (message,) in outputs:
        assert message.header == header
        assert read_image(message).pixels.shape == (*size, 3)


def test_a_better_quality_takes_more_bytes(robot):
    publisher = FacePublisher(robot.node, 'faces', overlay=True)
    (messages,) = watched(robot, publisher, COMPRESSED)
    noise = np.random.default_rng(1).integers(0, 255, (480, 640, 3), np.uint8)
    for count, quality in enumerate((10, 50, 95), 1):
        draw(publisher, noise, overlay_quality=quality)
        robot.until(lambda count=count: len(messages) == count, 'it comes')
    sizes = [len(message.data) for message in messages]
    assert sizes == sorted(sizes)
    assert sizes[2] > 2 * sizes[0]


def test_a_picture_that_is_too_large_for_a_jpeg_is_refused_with_its_size(robot):
    publisher = FacePublisher(robot.node, 'faces', overlay=True)
    watched(robot, publisher, COMPRESSED)
    with pytest.raises(ImageError, match='68000 x 40'):
        draw(publisher, np.zeros((10, 17000, 3), np.uint8), overlay_scale=4.0)


def test_after_it_is_closed_nothing_is_offered(robot):
    publisher = FacePublisher(robot.node, 'faces', overlay=True)
    names = [robot.node.resolve_topic_name(name) for name in output_names('faces', True)]
    robot.until(lambda: all(map(robot.node.count_publishers, names)), 'all are offered')
    publisher.close()
    robot.until(lambda: not any(map(robot.node.count_publishers, names)), 'none is offered')
