"""The detector's lifecycle, walked by a peer."""

import re
import shutil
from pathlib import Path

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from ros_fixtures import PORTRAIT, detector_starter, ids_of, image_message, set_time

from blazeface_ros.models.catalogue import find_model

pytestmark = [pytest.mark.ros, pytest.mark.network]

CONFIGURE, CLEANUP = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_CLEANUP
ACTIVATE, DEACTIVATE = Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_DEACTIVATE
ROUND = DEACTIVATE, CLEANUP, CONFIGURE, ACTIVATE
SHUTDOWN = {
    'unconfigured': Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
    'inactive': Transition.TRANSITION_INACTIVE_SHUTDOWN,
    'active': Transition.TRANSITION_ACTIVE_SHUTDOWN,
}
#: Every number that a peer can send, and which of them a state has.
NUMBERS = [*range(11), 20, 60, 99, 255]
ALLOWED = {
    'unconfigured': {CONFIGURE, SHUTDOWN['unconfigured']},
    'inactive': {CLEANUP, ACTIVATE, SHUTDOWN['inactive']},
    'active': {DEACTIVATE, SHUTDOWN['active']},
    'finalized': set(),
}


@pytest.fixture
def start():
    with detector_starter() as start:
        yield start


def test_it_can_be_walked_and_ends_where_it_began(start):
    _, robot = start()
    for _ in range(3):
        assert [robot.change_state(transition) for transition in ROUND] == [True] * 4
        assert robot.state() == 'active'
        assert len(robot.ask(image_message(PORTRAIT)).detections) == 1


def test_without_autostart_it_waits_to_be_configured_and_activated(start):
    _, robot = start('autostart:=false')
    assert robot.state() == 'unconfigured'
    assert robot.node.count_publishers('faces') == 0
    assert robot.change_state(CONFIGURE)
    assert robot.state() == 'inactive'
    robot.until(lambda: robot.node.count_publishers('faces') == 1, 'the outputs are offered')
    assert robot.change_state(ACTIVATE)
    assert len(robot.ask(image_message(PORTRAIT)).detections) == 1


def test_transitions_that_a_state_does_not_have_are_refused_and_end_nothing(start):
    node, robot = start()
    walk = {'active': DEACTIVATE, 'inactive': CLEANUP, 'unconfigured': SHUTDOWN['unconfigured']}
    for state in ('active', 'inactive', 'unconfigured', 'finalized'):
        for number in NUMBERS:
            if number not in ALLOWED[state]:
                assert not robot.change_state(number), number
                assert robot.state() == state
        if state in walk:
            assert robot.change_state(walk[state])
    unknown = ChangeState.Request(transition=Transition(label='no such transition'))
    assert not robot.request(ChangeState, 'detector/change_state', unknown).success
    code, printed = node.interrupt()
    assert code == 0, printed
    assert 'Traceback' not in printed


def test_a_refused_transition_costs_no_image(start):
    _, robot = start()
    robot.ask(image_message(PORTRAIT))
    for number in (CONFIGURE, ACTIVATE, CLEANUP, 99):
        assert not robot.change_state(number)
        assert len(robot.ask(image_message(PORTRAIT), once=True).detections) == 1


def test_it_can_be_shut_down_while_it_is_active(start):
    node, robot = start()
    robot.ask(image_message(PORTRAIT))
    assert robot.change_state(SHUTDOWN['active'])
    assert robot.state() == 'finalized'
    robot.until(lambda: not robot.node.count_publishers('faces'), 'nothing is offered')
    code, printed = node.interrupt()
    assert (code, 'Traceback' in printed) == (0, False)


def test_a_network_that_is_not_there_can_be_put_there_and_configured_then(start, tmp_path):
    file = tmp_path / 'later.onnx'
    node, robot = start(f'model:={file}', 'autostart:=false')
    assert not robot.change_state(CONFIGURE)
    assert robot.state() == 'unconfigured'
    assert str(file) in node.printed
    shutil.copy(find_model('back')[1], file)
    assert robot.change_state(CONFIGURE)
    assert robot.change_state(ACTIVATE)
    assert len(robot.ask(image_message(PORTRAIT)).detections) == 1


def test_while_it_is_inactive_images_are_neither_answered_nor_counted(start):
    _, robot = start()
    robot.ask(image_message(PORTRAIT))
    assert robot.change_state(DEACTIVATE)
    assert robot.state() == 'inactive'
    camera = robot.camera()
    robot.until(lambda: not camera.get_subscription_count(), 'it unsubscribes')
    robot.until(lambda: 'not active' in robot.status('image_raw')[1], 'it says so')
    received = robot.count('received')
    ignored = image_message(PORTRAIT)
    camera.publish(ignored)
    assert robot.change_state(ACTIVATE)
    robot.ask(last := image_message(PORTRAIT))
    assert robot.answer(last) and robot.answer(ignored) is None
    robot.until(lambda: robot.count('received') > received, 'the next is counted')


@pytest.mark.parametrize('round_trip', [(DEACTIVATE, ACTIVATE), ROUND])
def test_ids_are_not_used_again_after_it_was_inactive(start, round_trip):
    _, robot = start('tracking:=true')
    seen = []
    for time in (1000, 2000, 3000):
        # So late that all that was known is lost.
        first = set_time(image_message(PORTRAIT), time)
        again = set_time(image_message(PORTRAIT), time + 0.1)
        (name,) = ids_of(robot.ask(first))
        assert ids_of(robot.ask(again, once=True)) == [name]
        seen.append(name)
        for transition in round_trip:
            assert robot.change_state(transition)
        robot.until(robot.camera().get_subscription_count, 'it subscribes again')
    assert seen == ['f0001', 'f0002', 'f0003']


def kernel_says(pid, name):
    """A number that the kernel knows of a process."""
    status = Path(f'/proc/{pid}/status').read_text()
    return int(re.search(rf'{name}:\s+(\d+)', status)[1])


def test_rounds_of_its_lifecycle_under_load_leave_nothing_behind(start):
    node, robot = start()
    camera = robot.camera()
    image = image_message(PORTRAIT)
    timer = robot.node.create_timer(0.01, lambda: camera.publish(image))

    def rounds(count):
        for _ in range(count):
            assert [robot.change_state(transition) for transition in ROUND] == [True] * 4

    rounds(15)
    memory, threads = kernel_says(node.pid, 'VmRSS'), kernel_says(node.pid, 'Threads')
    rounds(35)
    # In KiB; one network a round would be 100,000.
    assert kernel_says(node.pid, 'VmRSS') < memory + 30_000
    robot.until(lambda: kernel_says(node.pid, 'Threads') == threads, 'no thread is left')
    timer.cancel()
    assert len(robot.ask(image_message(PORTRAIT)).detections) == 1
