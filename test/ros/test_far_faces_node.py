"""Far faces and ids that stay, in a real node."""

import itertools

import cv2
import numpy as np
import pytest
from ros_fixtures import NodeProcess, Robot, image_message
from sensor_msgs.msg import Image

from blazeface_ros.core.drawing import TRAIL_COLOR, WINDOW_COLOR
from blazeface_ros.core.tiles import levels
from blazeface_ros.ros.images import frame_from_message

_tenths = itertools.count(10)


def frame_at(pixels):
    """An image of a camera with ten a second, as its stamps tell."""
    message = image_message(pixels)
    seconds, tenth = divmod(next(_tenths), 10)
    message.header.stamp.sec, message.header.stamp.nanosec = seconds, tenth * 10**8
    return message


def start_detector(*parameters):
    arguments = [word for parameter in parameters for word in ('-p', parameter)]
    return NodeProcess('detector_node', '-p', 'threads:=1', *arguments)


@pytest.fixture(scope='module')
def small(astronaut):
    """A picture with one face that is quick to send."""
    return cv2.resize(astronaut, (256, 256))


@pytest.fixture(scope='module')
def far_scene(scene):
    """uint8 [540, 960, 3] bgr, with five faces that are too small for one look at the whole."""
    frame = np.full((540, 960, 3), 120, np.uint8)
    frame[150:330, 300:620] = cv2.resize(scene, (320, 180), interpolation=cv2.INTER_AREA)
    return frame


@pytest.fixture(scope='module')
def robot():
    """A robot whose detector the tests set as they need it."""
    node = start_detector()
    robot = Robot(node.namespace)
    yield robot
    robot.close()
    node.kill()


@pytest.fixture(autouse=True)
def defaults(request):
    """Set the shared detector back."""
    yield
    if 'robot' in request.fixturenames:
        robot = request.getfixturevalue('robot')
        for name, value in (
            ('smallest_face', 0),
            ('search', 'exhaustive'),
            ('windows_per_frame', 3),
            ('tracking', False),
            ('overlay_windows', False),
        ):
            assert robot.set_parameter(name, value).successful


def setting(robot, **values):
    for name, value in values.items():
        result = robot.set_parameter(name, value)
        assert result.successful, result.reason


def ids_of(answer):
    return [detection.id for detection in answer.detections]


def test_smallest_face_search_and_tracking_take_effect_with_the_next_image(robot, far_scene):
    assert len(robot.ask(frame_at(far_scene)).detections) <= 1
    setting(robot, smallest_face=16)
    everyone = ids_of(robot.ask(frame_at(far_scene)))
    assert len(everyone) == 5
    assert set(everyone) == {''}
    setting(robot, tracking=True)
    first = ids_of(robot.ask(frame_at(far_scene)))
    assert len(set(first)) == 5 and '' not in first
    setting(robot, search='scan', windows_per_frame=1)
    # Those that are not looked for this time are carried along.
    assert set(ids_of(robot.ask(frame_at(far_scene)))) == set(first)
    setting(robot, smallest_face=0, search='exhaustive', tracking=False)
    assert len(robot.ask(frame_at(far_scene)).detections) <= 1


def test_a_scan_finds_all_within_its_bound_and_their_ids_stay(robot, far_scene):
    setting(robot, smallest_face=16, search='scan', windows_per_frame=4, tracking=True)
    windows = len(levels(960, 540, 16, 1 / 14).windows)
    answers = []
    for i in range(windows):
        # The camera pans slowly.
        answers.append(ids_of(robot.ask(frame_at(np.roll(far_scene, i, axis=1)))))
    for ids in answers:
        assert len(set(ids)) == len(ids) and '' not in ids
    later = answers[windows // 2 :]
    assert min(map(len, later)) >= 4
    assert len(set.intersection(*map(set, later))) >= 4
    robot.until(
        lambda: robot.status('image_raw')[2].get('searched')
        == f'4 of {windows} windows, for faces from 16 pixels; each window within '
        f'{2 * windows} images',
        'diagnostics tell where it is searched',
    )
    setting(robot, search='exhaustive')
    assert len(ids_of(robot.ask(frame_at(far_scene)))) == 5
    robot.until(
        lambda: robot.status('image_raw')[2].get('searched')
        == f'{windows} of {windows} windows, for faces from 16 pixels',
        'diagnostics tell that it is searched everywhere',
    )


def test_the_overlay_shows_windows_and_trails(robot, far_scene):
    overlays = []
    listener = robot.node.create_subscription(Image, 'faces/overlay', overlays.append, 10)
    robot.until(lambda: robot.ask(frame_at(far_scene)) and overlays, 'an overlay comes')

    def overlay(pixels):
        image = frame_at(pixels)
        robot.ask(image)
        robot.until(lambda: overlays[-1].header == image.header, 'its overlay comes')
        # Not the caption, whose times differ.
        return frame_from_message(overlays[-1]).pixels[:500]

    def drawn(picture, color):
        return int((np.abs(picture.astype(int) - color).max(axis=2) <= 2).sum())

    setting(robot, smallest_face=16)
    plain = overlay(far_scene)
    setting(robot, overlay_windows=True)
    windows = overlay(far_scene)
    assert drawn(windows, WINDOW_COLOR) > drawn(plain, WINDOW_COLOR) + 5000
    assert (windows == plain).all(axis=2).mean() > 0.9
    setting(robot, overlay_windows=False, tracking=True)
    for i in range(4):
        trails = overlay(np.roll(far_scene, 8 * i, axis=1))
    assert drawn(trails, TRAIL_COLOR) > drawn(plain, TRAIL_COLOR) + 20
    robot.node.destroy_subscription(listener)


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('smallest_face', -1),
        ('windows_per_frame', 0),
        ('track_lost_after', 0.0),
        ('search', 'everywhere'),
    ],
)
def test_what_cannot_work_is_refused_while_it_runs(robot, small, name, value):
    result = robot.set_parameter(name, value)
    assert not result.successful
    assert name in result.reason
    assert len(robot.ask(frame_at(small)).detections) == 1


@pytest.mark.parametrize(
    ('parameter', 'sentence'),
    [
        ('smallest_face:=-1', "'smallest_face' is -1; it must be a whole number from 0 to 4096"),
        ('windows_per_frame:=0', "'windows_per_frame' is 0; it must be a whole number from 1 to"),
    ],
)
def test_what_cannot_work_is_refused_at_the_start(parameter, sentence):
    code, printed = start_detector(parameter).wait()
    assert code == 1
    assert sentence in printed


def test_ids_belong_to_their_camera_and_what_is_not_searched_is_warned_of_once(small):
    node = start_detector(
        'image_topics:=[a/image_raw, b/image_raw]', 'tracking:=true', 'smallest_face:=100'
    )
    robot = Robot(node.namespace, faces=False)
    try:
        for name in 'ab':
            robot.listen(f'{name}/faces', robot.faces.append)
        for name in 'aaabb':
            image = frame_at(small)
            image.header.frame_id = name
            assert ids_of(robot.ask(image, topic=f'{name}/image_raw')) == ['1']
        robot.close()
        code, _, printed = node.interrupt()
    finally:
        node.kill()
    assert code == 0
    warnings = [line for line in printed.splitlines() if 'smallest_face is 100' in line]
    assert len(warnings) == 2
    for name, line in zip('ab', warnings):
        assert '[WARN]' in line
        assert f'{node.namespace}/{name}/image_raw: smallest_face is 100, but one look at' in line
