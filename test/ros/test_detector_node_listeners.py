"""Images are received, and overlays drawn, only while somebody wants them."""

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from ros_fixtures import PORTRAIT, detector_starter, image_message
from sensor_msgs.msg import CompressedImage, Image

from blazeface_ros.ros.images import frame_from_message

pytestmark = [pytest.mark.ros, pytest.mark.network]


@pytest.fixture
def start():
    with detector_starter() as start:
        yield start


def test_while_nobody_listens_no_images_are_received_and_it_says_so(start):
    node, robot = start(faces=False)
    camera = robot.node.create_publisher(Image, 'image_raw', 1)
    robot.until(lambda: 'nobody listens' in robot.status('image_raw')[1], 'it says it is idle')
    assert robot.status('image_raw')[0] == DiagnosticStatus.OK
    assert camera.get_subscription_count() == 0
    listener = robot.listen('faces')
    assert robot.ask_through(camera, image_message(PORTRAIT))
    robot.node.destroy_subscription(listener)
    robot.until(lambda: not camera.get_subscription_count(), 'it unsubscribes')
    _, printed = node.interrupt()
    assert printed.count(f'nobody listens to {node.namespace}/faces') == 2


@pytest.mark.parametrize('topic', ['faces/overlay', 'faces/overlay/compressed'])
def test_who_listens_only_to_an_overlay_is_served_as_well(start, topic):
    _, robot = start(faces=False)
    kind = CompressedImage if topic.endswith('compressed') else Image
    overlays = robot.watch(topic, kind)
    robot.publish_until(lambda: overlays, lambda: image_message(PORTRAIT), 'an overlay comes')


def test_not_lazy_it_receives_images_all_the_same(start):
    _, robot = start('lazy:=false', faces=False)
    robot.publish_until(
        lambda: robot.count('processed'), lambda: image_message(PORTRAIT), 'it works'
    )


def test_being_lazy_can_be_changed_while_it_runs(start):
    _, robot = start('lazy:=false', faces=False)
    camera = robot.camera()
    assert robot.set_parameter('lazy', True).successful
    robot.until(lambda: not camera.get_subscription_count(), 'it unsubscribes')
    assert robot.set_parameter('lazy', False).successful
    robot.until(camera.get_subscription_count, 'it subscribes')


def test_it_is_turned_off_and_on_by_service_and_parameter(start):
    _, robot = start()
    camera = robot.camera()
    robot.ask(image_message(PORTRAIT))
    for turn in (
        robot.enable,
        lambda on: robot.set_parameter('enable', on).successful,
    ):
        assert turn(False)
        robot.until(lambda: not camera.get_subscription_count(), 'it unsubscribes')
        robot.until(lambda: robot.status('image_raw')[1] == 'idle: disabled', 'it says so')
        assert turn(True)
        robot.until(camera.get_subscription_count, 'it subscribes again')
        assert robot.ask(image_message(PORTRAIT))


def test_an_overlay_that_cannot_be_made_costs_only_itself(start):
    node, robot = start('overlay_scale:=4.0')
    pictures = robot.watch('faces/overlay/compressed', CompressedImage)
    wide = np.zeros((8, 17000, 3), np.uint8)  # as JPEG 68,000 pixels wide
    robot.publish_until(
        lambda: '68000 x 32' in node.printed, lambda: image_message(wide), 'it warns'
    )
    robot.ask(last := image_message(wide))
    assert robot.answer(last)
    processed = robot.count('processed')
    robot.until(lambda: robot.count('processed') > processed, 'all are counted')
    assert (robot.count('lost'), pictures) == (0, [])


def test_the_overlay_is_scaled_and_kept_to_its_rate(start):
    _, robot = start('overlay_scale:=2.0')
    overlays = robot.watch('faces/overlay')
    robot.publish_until(lambda: overlays, lambda: image_message(PORTRAIT), 'an overlay comes')
    assert frame_from_message(overlays[0]).pixels.shape == (512, 512, 3)
    # From now on there is one in a thousand seconds.
    assert robot.set_parameter('overlay_rate', 0.001).successful
    without = [image_message(PORTRAIT) for _ in range(5)]
    for image in without:
        robot.ask(image, once=True)
    assert robot.set_parameter('overlay_rate', 0.0).successful
    with_overlay = image_message(PORTRAIT)
    robot.ask(with_overlay, once=True)
    robot.until(lambda: overlays[-1].header == with_overlay.header, 'its overlay comes')
    assert not [o for o in overlays if o.header in [image.header for image in without]]
