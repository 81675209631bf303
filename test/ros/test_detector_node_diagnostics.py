"""What the running detector says on /diagnostics."""

import re

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from ros_fixtures import PORTRAIT, detector_starter, image_message

from blazeface_ros.ros.counters import STAGES

pytestmark = [pytest.mark.ros, pytest.mark.network]

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


@pytest.fixture
def start():
    with detector_starter() as start:
        yield start


def ask_until(robot, condition, what):
    """Ask one image after the other until something holds."""
    robot.until(lambda: condition() or not robot.ask(image_message(PORTRAIT)), what)


def test_they_tell_rates_counts_stages_and_what_runs(start):
    _, robot = start()

    def is_told():
        level, _, values = robot.status('image_raw')
        rates = ('rate received (Hz)', 'rate processed (Hz)')
        return level == OK and all(float(values[rate]) > 0 for rate in rates)

    ask_until(robot, is_told, 'the rates are told')
    _, _, values = robot.status('image_raw')
    assert values['topic'].endswith('/image_raw')
    assert int(values['faces']) == int(values['processed']) > 0
    assert values['tiles'].startswith('1 of 1 tiles')
    level, message, values = robot.status('network')
    assert (level, message) == (OK, 'running')
    assert 'ONNX Runtime' in values['runs']
    for stage in STAGES:
        assert re.fullmatch(r'mean \d+\.\d\d, p95 \d+\.\d\d', values[f'{stage} (ms)'])


def test_they_warn_of_a_slow_network_and_then_of_a_silent_camera(start):
    # No machine is as fast as that.
    _, robot = start('max_latency:=1.0e-9')
    robot.ask(image_message(PORTRAIT))
    robot.until(lambda: robot.status('network')[0] == WARN, 'it is too slow')
    assert 'max_latency' in robot.status('network')[1]
    robot.until(lambda: robot.status('image_raw')[0] == WARN, 'it is silent')
    assert '1 publisher' in robot.status('image_raw')[1]


def test_they_tell_of_a_camera_whose_images_cannot_be_read(start):
    _, robot = start()
    robot.ask(image_message(PORTRAIT))
    robot.publish_until(
        lambda: robot.status('image_raw')[0] == ERROR,
        lambda: image_message(PORTRAIT, encoding='unheard of'),
        'an error',
    )
    assert 'unreadable or lost' in robot.status('image_raw')[1]
    assert robot.count('unreadable') > 0
    ask_until(robot, lambda: robot.status('image_raw')[0] == OK, 'it is well again')


def test_simulated_time_that_stands_still_stops_nothing(start):
    _, robot = start('use_sim_time:=true')
    assert robot.ask(image_message(PORTRAIT))
    robot.until(lambda: robot.status('network')[1] == 'running', 'diagnostics come')
