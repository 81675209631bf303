"""Far faces and ids that stay, in a real node."""

import itertools
import re

import cv2
import numpy as np
import pytest
from ros_fixtures import PORTRAIT, detector_starter, ids_of, image_message, set_time

from blazeface_ros.core.drawing import TILE_COLOR, TRAIL_COLOR
from blazeface_ros.core.tiling import plan_tiles
from blazeface_ros.models.catalogue import MODELS
from blazeface_ros.ros.images import frame_from_message

pytestmark = [pytest.mark.ros, pytest.mark.network]

DEFAULTS = {
    'smallest_face': 0,
    'search': 'exhaustive',
    'tiles_per_frame': 3,
    'tracking': False,
    'overlay_tiles': False,
}
FAR = {'smallest_face': 16}
SCAN = {'smallest_face': 16, 'search': 'scan', 'tiles_per_frame': 4, 'tracking': True}

_tenths = itertools.count(10)


def frame_at(pixels):
    """An image of a camera with ten a second, as its stamps tell."""
    return set_time(image_message(pixels), next(_tenths) / 10)


@pytest.fixture(scope='module')
def far_scene(scene):
    """uint8 [540, 960, 3] bgr, with five faces that are too small for the whole-image pass."""
    frame = np.full((540, 960, 3), 120, np.uint8)
    frame[150:330, 300:620] = cv2.resize(scene, (320, 180), interpolation=cv2.INTER_AREA)
    return frame


@pytest.fixture(scope='module')
def tiles():
    """How many tiles the far scene takes."""
    return len(plan_tiles(960, 540, FAR['smallest_face'], MODELS['back'].smallest_share).tiles)


@pytest.fixture(scope='module')
def shared():
    with detector_starter() as start:
        yield start('threads:=0')[1]


@pytest.fixture
def robot(shared):
    """A robot around a detector whose parameters a test may leave as it likes."""
    assert shared.set_parameters_at_once(**DEFAULTS).successful
    shared.ask(frame_at(PORTRAIT))
    return shared


def setting(robot, **values):
    result = robot.set_parameters_at_once(**values)
    assert result.successful, result.reason


def test_search_and_tracking_take_effect_with_the_next_image(robot, far_scene):
    assert len(ids_of(robot.ask(frame_at(far_scene)))) <= 1
    setting(robot, **FAR)
    assert ids_of(robot.ask(frame_at(far_scene))) == [''] * 5
    setting(robot, tracking=True)
    first = ids_of(robot.ask(frame_at(far_scene)))
    assert len(set(first)) == 5
    assert all(re.fullmatch(r'f\d{4}', name) for name in first)
    setting(robot, search='scan', tiles_per_frame=1)
    # Those that are not looked for this time are predicted.
    assert set(ids_of(robot.ask(frame_at(far_scene), once=True))) == set(first)
    setting(robot, **DEFAULTS)
    assert len(ids_of(robot.ask(frame_at(far_scene)))) <= 1


def test_a_scan_finds_all_within_its_bound_and_their_ids_stay(robot, far_scene, tiles):
    setting(robot, **SCAN)
    answers = []
    for i in range(tiles):
        # The camera pans slowly.
        image = frame_at(np.roll(far_scene, i, axis=1))
        answers.append(ids_of(robot.ask(image, once=True)))
    for ids in answers:
        assert len(set(ids)) == len(ids)
        assert '' not in ids
    later = answers[tiles // 2 :]
    assert min(map(len, later)) >= 4
    assert len(set.intersection(*map(set, later))) >= 4


def test_diagnostics_tell_where_is_searched(robot, far_scene, tiles):
    def told():
        return robot.status('image_raw')[2].get('tiles', '')

    setting(robot, **SCAN)
    robot.ask(frame_at(far_scene))
    robot.until(
        lambda: told().startswith(f'4 of {tiles} tiles') and f'{2 * tiles} images' in told(),
        'some tiles of an image',
    )
    setting(robot, search='exhaustive')
    robot.ask(frame_at(far_scene))
    robot.until(lambda: told().startswith(f'{tiles} of {tiles} tiles'), 'all tiles of an image')


def test_the_overlay_shows_tiles_and_trails(robot, far_scene):
    overlays = robot.watch('faces/overlay')
    robot.publish_until(lambda: overlays, lambda: frame_at(far_scene), 'an overlay comes')

    def overlay(pixels):
        image = frame_at(pixels)
        robot.ask(image)
        robot.until(lambda: overlays[-1].header == image.header, 'its overlay comes')
        # Not the caption, whose times differ.
        return frame_from_message(overlays[-1]).pixels[:500]

    def drawn(picture, color):
        return int((np.abs(picture.astype(int) - color).max(axis=2) <= 2).sum())

    setting(robot, **FAR)
    plain = overlay(far_scene)
    setting(robot, overlay_tiles=True)
    with_tiles = overlay(far_scene)
    assert drawn(with_tiles, TILE_COLOR) > drawn(plain, TILE_COLOR) + 5000
    assert (with_tiles == plain).all(axis=2).mean() > 0.9
    setting(robot, overlay_tiles=False, tracking=True)
    for i in range(4):
        with_trails = overlay(np.roll(far_scene, 8 * i, axis=1))
    assert drawn(with_trails, TRAIL_COLOR) > drawn(plain, TRAIL_COLOR) + 20


def test_a_smallest_face_that_the_whole_image_shows_is_warned_of_once_a_camera():
    with detector_starter() as start:
        node, robot = start(
            *('image_topics:=[a/image_raw, b/image_raw]', 'smallest_face:=100'), faces=False
        )
        for name in 'ab':
            robot.listen(f'{name}/faces')
        for name in 'aaabb':
            robot.ask(frame_at(PORTRAIT), topic=f'{name}/image_raw')
        code, printed = node.interrupt()
    assert code == 0
    warnings = [line for line in printed.splitlines() if 'smallest_face is 100' in line]
    assert len(warnings) == 2
    for name, line in zip('ab', warnings):
        assert '[WARN]' in line
        assert f'{node.namespace}/{name}/image_raw' in line
