"""The media publisher in its own process, over real DDS."""

import cv2
import numpy as np
import pytest
from conftest import PICTURES
from ros_fixtures import NodeProcess, Robot
from sensor_msgs.msg import Image

from blazeface_ros.ros.images import frame_from_message


@pytest.fixture
def received(request):
    """Start it with parameters; returns what it published and the process."""
    started = []

    def start(*parameters, images=3):
        arguments = [word for parameter in parameters for word in ('-p', parameter)]
        process = NodeProcess('media_publisher_node', *arguments)
        robot = Robot(process.namespace)
        started.extend([robot.close, process.kill])
        messages = []
        robot.node.create_subscription(Image, 'image_raw', messages.append, 10)
        robot.until(lambda: len(messages) >= images, f'{images} images come')
        return messages, process

    yield start
    for finish in started:
        finish()


def test_a_picture_is_published_over_and_over_with_rising_stamps(received, astronaut):
    source = f'source:={PICTURES / "astronaut.png"}'
    messages, _ = received(source, 'rate:=50', 'frame_id:=eye', images=9)
    for message in messages:
        np.testing.assert_array_equal(frame_from_message(message).pixels, astronaut)
        assert message.header.frame_id == 'eye'
    stamps = [m.header.stamp.sec + m.header.stamp.nanosec / 1e9 for m in messages]
    intervals = np.diff(stamps)
    assert (intervals > 0).all()
    assert np.median(intervals) < 0.035, 'every tick has its image'


def test_without_a_source_it_shows_the_bundled_scene(received, scene):
    messages, _ = received(images=1)
    np.testing.assert_array_equal(frame_from_message(messages[0]).pixels, scene)


def test_a_folder_is_shown_in_order_of_names_and_what_is_unreadable_named(received, tmp_path):
    for name, value in (('b.png', 2), ('a.png', 1)):
        cv2.imwrite(str(tmp_path / name), np.full((8, 8, 3), value, np.uint8))
    (tmp_path / 'aa.jpg').write_text('no picture')
    (tmp_path / 'notes.txt').write_text('passed over')
    messages, process = received(f'source:={tmp_path}', 'rate:=50', images=6)
    values = [frame_from_message(message).pixels[0, 0, 0] for message in messages]
    assert values[:6] in ([1, 2, 1, 2, 1, 2], [2, 1, 2, 1, 2, 1])
    code, _, printed = process.interrupt()
    assert code == 0, printed
    assert printed.count("aa.jpg' is not a picture") == 1
    assert 'notes.txt' not in printed


def test_a_video_is_shown_at_its_own_rate(received, tmp_path):
    file = str(tmp_path / 'video.avi')
    video = cv2.VideoWriter(file, cv2.VideoWriter_fourcc(*'MJPG'), 20, (64, 48))
    for value in (0, 100, 200):
        video.write(np.full((48, 64, 3), value, np.uint8))
    video.release()
    messages, process = received(f'source:={file}', images=4)
    assert {(message.width, message.height) for message in messages} == {(64, 48)}
    _, _, printed = process.interrupt()
    assert 'at 20 Hz' in printed


def test_without_loop_it_ends_by_itself():
    source = PICTURES / 'astronaut.png'
    code, printed = NodeProcess(
        'media_publisher_node', '-p', f'source:={source}', '-p', 'loop:=false'
    ).wait()
    assert code == 0
    assert 'the end, after 1 frames' in printed


@pytest.mark.parametrize(
    ('source', 'sentence'),
    [
        ('/nowhere', "source '/nowhere' does not exist"),
        (__file__, 'cannot be opened'),
        ('99', 'webcam 99 cannot be opened'),
    ],
)
def test_a_source_that_shows_nothing_ends_it_with_a_sentence(source, sentence):
    code, printed = NodeProcess('media_publisher_node', '-p', f'source:={source}').wait()
    assert code == 1
    assert sentence in printed
    assert 'Traceback' not in printed
