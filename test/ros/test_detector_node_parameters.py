"""Parameters that are changed while the detector runs."""

import pytest
from ros_fixtures import PORTRAIT, detector_starter, ids_of, image_message

pytestmark = [pytest.mark.ros, pytest.mark.network]

DEFAULTS = {
    'score_threshold': 0.0,
    'max_faces': 0,
    'max_rate': 0.0,
    'smallest_face': 0,
    'search': 'exhaustive',
    'tiles_per_frame': 3,
    'tracking': False,
}


@pytest.fixture(scope='module')
def shared():
    with detector_starter() as start:
        yield start()[1]


@pytest.fixture
def robot(shared):
    """A robot around a detector whose parameters a test may leave as it likes."""
    assert shared.set_parameters_at_once(**DEFAULTS).successful
    shared.ask(image_message(PORTRAIT))
    return shared


def test_the_score_threshold_holds_for_the_next_image(robot, scene):
    assert robot.set_parameter('score_threshold', 0.9).successful
    assert len(robot.ask(image_message(scene)).detections) == 2
    assert robot.set_parameter('score_threshold', 0.0).successful
    assert len(robot.ask(image_message(scene)).detections) == 5


def test_so_do_the_most_faces_of_an_image(robot, scene):
    assert robot.set_parameter('max_faces', 2).successful
    assert len(robot.ask(image_message(scene)).detections) == 2


def test_at_a_rate_of_one_image_in_a_thousand_seconds_one_of_many_is_answered(robot):
    throttled = robot.count('throttled')
    assert robot.set_parameter('max_rate', 0.001).successful
    images = []

    def next_image():
        images.append(image_message(PORTRAIT))
        return images[-1]

    robot.publish_until(
        lambda: robot.count('throttled') >= throttled + 5, next_image, 'many are throttled'
    )
    robot.until(lambda: any(map(robot.answer, images)), 'one is answered')
    assert len([image for image in images if robot.answer(image)]) == 1


def test_a_new_rate_holds_at_once(robot):
    assert robot.set_parameter('max_rate', 0.001).successful
    throttled = robot.count('throttled')
    robot.publish_until(
        lambda: robot.count('throttled') > throttled, lambda: image_message(PORTRAIT), 'throttled'
    )
    for rate in (0.0, 1000.0):
        assert robot.set_parameter('max_rate', rate).successful
        assert robot.ask(image_message(PORTRAIT))


def tiles(robot):
    return robot.status('image_raw')[2].get('tiles', '')


def test_several_parameters_are_changed_at_once(robot, scene):
    far = {'smallest_face': 16, 'search': 'scan', 'tiles_per_frame': 1, 'tracking': True}
    assert robot.set_parameters_at_once(**far).successful
    ids = ids_of(robot.ask(image_message(scene)))
    assert len(set(ids)) == len(ids) > 0
    assert '' not in ids
    robot.until(lambda: tiles(robot).startswith('1 of ') and 'from 16' in tiles(robot), 'far')
    assert robot.set_parameters_at_once(**DEFAULTS).successful
    assert ids_of(robot.ask(image_message(scene))) == [''] * 5
    robot.until(lambda: tiles(robot).startswith('1 of 1 tiles'), 'near')


def test_if_one_of_several_cannot_be_all_stay_as_they_were(robot, scene):
    result = robot.set_parameters_at_once(smallest_face=16, tracking=True, tiles_per_frame=0)
    assert not result.successful
    assert 'tiles_per_frame' in result.reason
    assert ids_of(robot.ask(image_message(scene))) == [''] * 5


@pytest.mark.parametrize(
    ('name', 'value', 'reason'),
    [
        ('score_threshold', 1.5, 'range'),
        ('max_rate', -1.0, 'range'),
        ('overlay_quality', 0, 'range'),
        ('smallest_face', -1, 'smallest_face'),
        ('tiles_per_frame', 0, 'tiles_per_frame'),
        ('track_lost_after', 0.0, 'track_lost_after'),
        ('search', 'everywhere', 'one of exhaustive, scan'),
        ('lazy', 'never', 'type'),
        ('model', 'front', 'read-only'),
        ('image_transport', 'compressed', 'read-only'),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(robot, name, value, reason):
    result = robot.set_parameter(name, value)
    assert not result.successful
    assert reason in result.reason.lower()
    assert len(robot.ask(image_message(PORTRAIT)).detections) == 1


def test_a_parameter_by_its_old_name_is_refused(robot):
    assert not robot.set_parameter('windows_per_frame', 4).successful
    assert robot.ask(image_message(PORTRAIT))
