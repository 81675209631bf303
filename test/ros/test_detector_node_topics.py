"""Where the detector's images come from: topics, publishers of all kinds, several cameras."""

import itertools
import re

import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from ros_fixtures import PORTRAIT, detector_starter, encoded, ids_of, image_message
from sensor_msgs.msg import CompressedImage, Image

pytestmark = [pytest.mark.ros, pytest.mark.network]

RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT


@pytest.fixture
def start():
    with detector_starter() as start:
        yield start


# Quality of service


def test_publishers_of_every_kind_are_received_alone_and_mixed_as_they_come_and_go(start):
    _, robot = start()
    kinds = [
        QoSProfile(depth=1, reliability=reliability, durability=durability)
        for reliability in (RELIABLE, BEST_EFFORT)
        for durability in (DurabilityPolicy.VOLATILE, DurabilityPolicy.TRANSIENT_LOCAL)
    ]
    for count in (1, 2):
        for chosen in itertools.combinations(kinds, count):
            publishers = [robot.node.create_publisher(Image, 'image_raw', qos) for qos in chosen]
            for publisher in publishers:
                assert robot.ask_through(publisher, image_message(PORTRAIT))
            for publisher in publishers:
                robot.node.destroy_publisher(publisher)


def test_a_fixed_reliability_that_does_not_fit_is_warned_about_with_the_remedy(start):
    node, robot = start('qos_reliability:=reliable')
    unfit = robot.node.create_publisher(
        Image, 'image_raw', QoSProfile(depth=9, reliability=BEST_EFFORT)
    )
    robot.until(lambda: 'qos_reliability' in node.printed, 'it warns')
    for _ in range(3):
        unfit.publish(image_message(PORTRAIT))
    # A publisher that fits is received all the same, and it alone.
    fit = image_message(PORTRAIT)
    assert robot.ask(fit, reliability=RELIABLE)
    assert all(message.header == fit.header for message in robot.faces)
    _, printed = node.interrupt()
    (warning,) = (line for line in printed.splitlines() if 'qos_reliability' in line)
    assert '[WARN]' in warning
    assert f'{node.namespace}/image_raw' in warning
    assert f'{node.namespace}/robot' in warning
    assert "set the parameter qos_reliability to 'auto' or 'best_effort'" in warning


def test_a_camera_that_ends_and_starts_again_needs_nothing(start):
    _, robot = start()
    for _ in range(2):
        camera = robot.node.create_publisher(Image, 'image_raw', QoSProfile(depth=1))
        assert robot.ask_through(camera, image_message(PORTRAIT))
        robot.node.destroy_publisher(camera)


# Names


def test_topics_can_be_remapped(start):
    _, robot = start(arguments=['-r', 'image_raw:=/front/camera/image'])
    answer = robot.ask(image_message(PORTRAIT), topic='/front/camera/image')
    assert len(answer.detections) == 1


def test_a_remapped_camera_is_received_on_its_compressed_topic(start, astronaut):
    _, robot = start('image_transport:=compressed', arguments=['-r', 'image_raw:=/front/image'])
    camera = robot.node.create_publisher(CompressedImage, '/front/image/compressed', 1)
    assert len(robot.ask_through(camera, encoded(astronaut)).detections) == 1


def test_the_faces_can_have_a_topic_of_any_name(start):
    _, robot = start('face_topics:=[/people/found]', faces=False)
    robot.listen('/people/found')
    assert len(robot.ask(image_message(PORTRAIT)).detections) == 1


# Compressed images


def test_compressed_images_are_answered_and_the_overlay_comes_compressed(start, astronaut):
    _, robot = start('image_transport:=compressed', 'overlay_scale:=0.5')
    camera = robot.node.create_publisher(CompressedImage, 'image_raw/compressed', 1)
    for _ in range(3):
        assert len(robot.ask_through(camera, encoded(astronaut)).detections) == 1
    overlays = robot.watch('faces/overlay/compressed', CompressedImage)
    robot.until(lambda: overlays or camera.publish(encoded(astronaut)), 'an overlay comes')


def test_a_broken_compressed_image_costs_only_itself(start):
    _, robot = start('image_transport:=compressed', 'queue_size:=8')
    camera = robot.node.create_publisher(CompressedImage, 'image_raw/compressed', 8)
    good = encoded(PORTRAIT)
    robot.ask_through(camera, good)
    for data in (b'', b'rubbish', bytes(good.data)[:100]):
        broken = encoded(PORTRAIT)
        broken.data = data
        camera.publish(broken)
        assert len(robot.ask_through(camera, encoded(PORTRAIT), once=True).detections) == 1
    name = 'image_raw/compressed'
    robot.until(lambda: robot.count('unreadable', name) == 3, 'they are counted')
    assert robot.count('lost', name) == 0


# Several cameras


def test_several_cameras_are_answered_each_on_its_topic(start):
    names = ['a', 'b', 'c']
    _, robot = start('image_topics:=[a/image_raw, b/image_raw, c/image_raw]', faces=False)
    for name in names:
        robot.listen(f'{name}/faces')
    for name in names * 2:
        image = image_message(PORTRAIT)
        image.header.frame_id = name
        assert len(robot.ask(image, topic=f'{name}/image_raw').detections) == 1
    counts = [f'{name}/image_raw' for name in names]
    robot.until(lambda: all(robot.count('processed', name) >= 2 for name in counts), 'counted')
    assert [robot.node.count_publishers(f'{name}/faces') for name in names] == [1, 1, 1]


def test_images_that_wait_together_are_one_batch_and_none_is_answered_twice(start):
    _, robot = start('image_topics:=[a/image_raw, b/image_raw]', faces=False)
    for name in 'ab':
        robot.listen(f'{name}/faces')
        robot.ask(image_message(PORTRAIT), topic=f'{name}/image_raw')
    cameras = [robot.camera(topic=f'{name}/image_raw') for name in 'ab']

    def largest_batch():
        batches = robot.status('network')[2].get('batches (count x images)', '')
        return max(map(int, re.findall(r'x (\d+)', batches)), default=0)

    def publish_both():
        for camera, name in zip(cameras, 'ab'):
            image = image_message(PORTRAIT)
            image.header.frame_id = name
            camera.publish(image)

    robot.until(lambda: largest_batch() == 2 or publish_both(), 'a batch of two')
    for name in 'ab':
        stamps = [m.header.stamp.sec for m in robot.faces if m.header.frame_id == name]
        assert stamps == sorted(set(stamps)), 'none is answered twice, or after a newer one'


def test_with_a_queue_each_image_of_a_burst_has_its_turn(start):
    _, robot = start('queue_size:=8')
    robot.ask(image_message(PORTRAIT))
    burst = [image_message(PORTRAIT) for _ in range(5)]
    for image in burst:
        robot.camera().publish(image)
    robot.until(lambda: robot.answer(burst[-1]), 'the last of the burst is answered')
    headers = [image.header for image in burst]
    assert [m.header for m in robot.faces if m.header in headers] == headers
    robot.until(lambda: robot.count('processed') > len(burst), 'it is reported')
    assert robot.count('dropped') == 0


def test_two_cameras_never_share_an_id(start, scene):
    _, robot = start('image_topics:=[a/image, b/image]', 'tracking:=true', faces=False)
    seen = {}
    for name in 'ab':
        robot.listen(f'{name}/faces')
        seen[name] = ids_of(robot.ask(image_message(scene), topic=f'{name}/image'))
    assert [len(set(ids)) for ids in seen.values()] == [5, 5]
    assert not set(seen['a']) & set(seen['b'])
