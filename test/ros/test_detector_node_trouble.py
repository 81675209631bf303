"""A network that hangs or fails, in a real node."""

import re
import shutil

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
from moody_network import end_hang, start_hang, write_moody_network
from ros_fixtures import PORTRAIT, detector_starter, image_message
from vision_msgs.msg import VisionInfo

from blazeface_ros.models.catalogue import find_model

pytestmark = [pytest.mark.ros, pytest.mark.torch, pytest.mark.onnxruntime]

WHITE, BLACK = (np.full((256, 256, 3), value, np.uint8) for value in (255, 0))
ERROR = DiagnosticStatus.ERROR


@pytest.fixture(scope='module')
def moody_file(tmp_path_factory):
    file = tmp_path_factory.mktemp('model') / 'moody.onnx'
    write_moody_network(file)
    return file


@pytest.fixture
def start(moody_file):
    """Starts a detector whose network hangs on white pictures and fails on black ones."""
    start_hang(moody_file)
    with detector_starter() as start_detector:

        def start(*parameters):
            node, robot = start_detector(f'model:={moody_file}', *parameters)
            robot.ask(image_message(PORTRAIT))
            return node, robot

        yield start


def hang(robot):
    """Let the network hang until `end_hang`; returns the image that it hangs on."""
    white = image_message(WHITE)
    robot.camera().publish(white)
    robot.until(lambda: robot.status('network')[0] == ERROR, 'it is an error')
    assert 'hanging' in robot.status('network')[1]
    return white


def ended_well(node):
    """Whether an interrupt ends the node as it should."""
    code, printed = node.interrupt()
    assert code == 0, printed
    assert 'Traceback' not in printed
    return True


def test_a_network_that_hangs_is_reported_and_recovered_from(start, moody_file):
    node, robot = start()
    white = hang(robot)
    assert robot.enable(True)  # it answers services meanwhile
    assert robot.state() == 'active'
    end_hang(moody_file)
    robot.until(lambda: robot.answer(white), 'it wakes')
    assert len(robot.ask(image_message(PORTRAIT)).detections) == 1
    robot.until(lambda: robot.status('network')[1] == 'running', 'it is well again')
    _, printed = node.interrupt()
    assert re.search(r'the network hung for \d', printed)


def test_a_network_that_hangs_is_left_behind_by_deactivating(start, moody_file):
    node, robot = start()
    white = hang(robot)
    assert robot.change_state(Transition.TRANSITION_DEACTIVATE)
    assert robot.state() == 'inactive'
    away = moody_file.rename(moody_file.with_suffix('.away'))
    try:
        assert not robot.change_state(Transition.TRANSITION_ACTIVATE), 'no network, no activity'
        assert robot.state() == 'inactive'
    finally:
        away.rename(moody_file)
    assert robot.change_state(Transition.TRANSITION_ACTIVATE)
    assert len(robot.ask(image_message(PORTRAIT)).detections) == 1
    # What was left behind counts its image as lost when it wakes, and publishes nothing.
    end_hang(moody_file)
    robot.until(lambda: robot.count('lost') == 1, 'the image is lost')
    assert len(robot.ask(image_message(PORTRAIT)).detections) == 1
    assert robot.answer(white) is None
    assert ended_well(node)


def test_a_hanging_network_does_not_keep_the_node_from_its_lifecycle(start):
    node, robot = start()
    hang(robot)
    for transition in (
        Transition.TRANSITION_DEACTIVATE,
        Transition.TRANSITION_CLEANUP,
        Transition.TRANSITION_CONFIGURE,
        Transition.TRANSITION_ACTIVATE,
    ):
        assert robot.change_state(transition)
    assert len(robot.ask(image_message(PORTRAIT)).detections) == 1
    assert ended_well(node)


def test_an_interrupt_during_a_hang_still_ends_it(start):
    node, robot = start()
    hang(robot)
    assert ended_well(node)


def test_it_can_be_shut_down_during_a_hang(start):
    node, robot = start()
    hang(robot)
    assert robot.change_state(Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert robot.state() == 'finalized'
    assert ended_well(node)


def test_what_waits_when_it_is_turned_off_is_dropped_and_counted(start, moody_file):
    _, robot = start('queue_size:=8')
    hang(robot)
    received = robot.count('received')
    for _ in range(3):
        robot.camera().publish(image_message(PORTRAIT))
    robot.until(lambda: robot.count('received') == received + 3, 'all have come')
    assert robot.enable(False)
    robot.until(lambda: robot.count('dropped') == 3, 'they are dropped')
    end_hang(moody_file)
    robot.until(
        lambda: robot.count('received') == robot.count('processed') + robot.count('dropped'),
        'all are accounted for',
    )
    assert robot.count('lost') == 0


def test_images_that_wait_take_no_more_bytes_than_they_may(start, moody_file):
    _, robot = start('queue_size:=8', f'queue_bytes:={2 * PORTRAIT.size}')
    hang(robot)
    received = robot.count('received')
    images = [image_message(PORTRAIT) for _ in range(5)]
    for image in images:
        robot.camera().publish(image)
    robot.until(lambda: robot.count('received') == received + 5, 'all have come')
    assert robot.count('dropped') == 3
    end_hang(moody_file)
    for image in images[3:]:
        robot.until(lambda image=image: robot.answer(image), 'the newest are answered')


def test_a_network_that_keeps_failing_is_reported_and_recovered_from(start):
    _, robot = start()
    robot.publish_until(
        lambda: robot.status('network')[0] == ERROR, lambda: image_message(BLACK), 'an error'
    )
    assert re.search(r'\d failures in a row', robot.status('network')[1])
    assert robot.count('lost') >= 3
    assert len(robot.ask(image_message(PORTRAIT)).detections) == 1
    robot.until(lambda: robot.status('network')[1] == 'running', 'it is well again')


def test_a_network_that_was_replaced_in_its_file_is_named_once_it_is_loaded(tmp_path):
    file = tmp_path / 'network.onnx'
    write_moody_network(file)
    with detector_starter() as start:
        _, robot = start(f'model:={file}')
        infos = robot.watch('faces/vision_info', VisionInfo)
        robot.ask(image_message(PORTRAIT))
        shutil.copy(find_model('front')[1], file)
        robot.publish_until(lambda: infos, lambda: image_message(BLACK), 'it tells anew')
        assert 'BlazeFace front' in infos[-1].method
        robot.until(lambda: 'front' in robot.status('network')[2].get('runs', ''), 'diagnostics')


def test_one_failure_is_no_error(start):
    _, robot = start('queue_size:=8')
    robot.camera().publish(image_message(BLACK))
    assert len(robot.ask(image_message(PORTRAIT), once=True).detections) == 1
    robot.until(lambda: robot.count('lost') == 1, 'it is counted')
    assert robot.status('network')[1] == 'running'
