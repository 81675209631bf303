"""The media publisher in its own process, over real DDS."""

import cv2
import numpy as np
import pytest
from ros_fixtures import NodeProcess, Robot, as_arguments
from shared import PICTURES

from blazeface_ros.ros.images import frame_from_message

pytestmark = pytest.mark.ros


@pytest.fixture
def start():
    """Starts a media publisher with parameters; returns its process."""
    started = []

    def start(*parameters):
        started.append(NodeProcess('media_publisher_node', *as_arguments(parameters)))
        return started[-1]

    yield start
    for process in started:
        process.kill()


@pytest.fixture
def received(start):
    """Starts it with parameters; returns what it published and the process."""
    robots = []

    def received(*parameters, images):
        process = start(*parameters)
        process.until_it_logs()
        robots.append(robot := Robot(process.namespace, faces=False))
        messages = robot.watch('image_raw')
        robot.until(lambda: len(messages) >= images, f'{images} images come')
        return messages, process

    yield received
    for robot in robots:
        robot.close()


def test_a_picture_is_published_over_and_over_with_rising_stamps(received, astronaut):
    source = f'source:={PICTURES / "astronaut.png"}'
    messages, _ = received(source, 'rate:=50', 'frame_id:=eye', images=9)
    for message in messages:
        np.testing.assert_array_equal(frame_from_message(message).pixels, astronaut)
        assert message.header.frame_id == 'eye'
    stamps = [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in messages]
    assert stamps == sorted(set(stamps))


def test_without_a_source_it_shows_the_bundled_scene(received, scene):
    messages, _ = received(images=1)
    np.testing.assert_array_equal(frame_from_message(messages[0]).pixels, scene)


def test_all_pictures_of_a_folder_are_shown_and_what_is_unreadable_is_named(received, tmp_path):
    for name, value in (('b.png', 2), ('a.png', 1)):
        cv2.imwrite(str(tmp_path / name), np.full((8, 8, 3), value, np.uint8))
    (tmp_path / 'aa.jpg').write_text('no picture')
    (tmp_path / 'notes.txt').write_text('passed over')
    messages, process = received(f'source:={tmp_path}', 'rate:=50', images=6)
    assert {frame_from_message(message).pixels[0, 0, 0] for message in messages} == {1, 2}
    code, printed = process.interrupt()
    assert code == 0, printed
    assert printed.count("aa.jpg'") == 1
    assert 'notes.txt' not in printed


def test_a_video_is_shown_at_its_own_rate(received, tmp_path):
    file = str(tmp_path / 'video.avi')
    video = cv2.VideoWriter(file, cv2.VideoWriter_fourcc(*'MJPG'), 20, (64, 48))
    for value in (0, 100, 200):
        video.write(np.full((48, 64, 3), value, np.uint8))
    video.release()
    messages, process = received(f'source:={file}', images=4)
    assert {(message.width, message.height) for message in messages} == {(64, 48)}
    _, printed = process.interrupt()
    assert 'at 20 Hz' in printed


def test_without_loop_it_ends_by_itself(start):
    code, printed = start(f'source:={PICTURES / "astronaut.png"}', 'loop:=false').wait()
    assert code == 0
    assert 'after 1 frames' in printed


@pytest.mark.parametrize(
    ('source', 'sentence'),
    [
        ('/nowhere', "source '/nowhere' does not exist"),
        (__file__, 'cannot be opened'),
        ('99', 'webcam 99 cannot be opened'),
    ],
)
def test_a_source_that_shows_nothing_ends_it_with_a_sentence(start, source, sentence):
    code, printed = start(f'source:={source}').wait()
    assert code == 1
    assert sentence in printed
    assert 'Traceback' not in printed


def test_a_wrong_parameter_ends_it_with_what_is_allowed(start):
    code, printed = start('rate:=-1.0').wait()
    assert code == 1
    assert "parameter 'rate' is -1.0; it must be a number from 0.0 to" in printed
    assert len(printed.strip().splitlines()) == 1
