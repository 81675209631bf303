"""The detector node on the double of acl."""

import os
import re
import signal

import pytest
from ascend_support import assert_clean, on_double
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
from ros_fixtures import PORTRAIT, NodeProcess, Robot, image_message, refusal
from std_srvs.srv import SetBool

pytest_plugins = ['ascend_fixtures']
pytestmark = [pytest.mark.ros, pytest.mark.onnxruntime]

FRAMES = 100


class AscendNode:
    """The detector on the double, in a process of its own, and the robot around it."""

    def __init__(self, om_file, report, faults=()):
        self.report = report
        self.process = NodeProcess(
            *('detector_node', '-p', 'backend:=ascend', '-p', f'model:={om_file}'),
            environment=on_double(report, faults),
        )
        self.robot = Robot(self.process.namespace)

    def count_faces(self, frames):
        """Publish frames, each after the answer to the one before. Returns the number of faces."""
        return sum(len(self.robot.ask(portrait()).detections) for _ in range(frames))

    def check_end(self, code, printed):
        """The node ended as it should, with everything released. Returns the calls of acl."""
        assert code == 0, printed
        assert 'Traceback' not in printed
        return assert_clean(self.report)

    def end(self):
        """Interrupt it. Returns what it printed and the calls of acl."""
        code, printed = self.process.interrupt()
        return printed, self.check_end(code, printed)

    def close(self):
        self.robot.close()
        self.process.kill()


def portrait():
    """An image with one face."""
    return image_message(PORTRAIT)


@pytest.fixture
def ascend_node(om, tmp_path):
    """Start an `AscendNode` with a variant of the model and with faults."""
    started = []

    def start(faults=(), **variant):
        started.append(AscendNode(om(**variant), tmp_path / 'report.json', faults))
        return started[-1]

    yield start
    for node in started:
        node.close()


def test_after_many_frames_the_node_has_released_everything(ascend_node):
    node = ascend_node(aipp='bgr')
    assert node.count_faces(FRAMES) == FRAMES
    _, calls = node.end()
    assert calls['mdl.execute_async'] >= FRAMES
    assert calls['mdl.load_from_file'] == calls['mdl.unload'] == 1


def test_after_all_transitions_of_its_lifecycle_the_node_has_released_everything(ascend_node):
    node = ascend_node()
    robot = node.robot
    for on in (False, True):
        assert robot.request(SetBool, 'detector/enable', SetBool.Request(data=on)).success
    assert node.count_faces(3) == 3
    for _ in range(10):
        assert robot.change_state(Transition.TRANSITION_DEACTIVATE)
        assert robot.change_state(Transition.TRANSITION_ACTIVATE)
        assert node.count_faces(1) == 1
    for _ in range(3):
        assert robot.change_state(Transition.TRANSITION_DEACTIVATE)
        assert robot.change_state(Transition.TRANSITION_CLEANUP)
        assert robot.change_state(Transition.TRANSITION_CONFIGURE)
        assert robot.change_state(Transition.TRANSITION_ACTIVATE)
        assert node.count_faces(1) == 1
    _, calls = node.end()
    assert calls['mdl.load_from_file'] == calls['mdl.unload'] == 4


@pytest.mark.parametrize('function', ['rt.memcpy', 'mdl.execute_async', 'execution'])
def test_a_call_that_fails_costs_one_frame(ascend_node, function):
    node = ascend_node(faults=[(function, 507011, 20)])
    # `ask` publishes an image again until it is answered.
    assert node.count_faces(30) == 30
    assert node.robot.status('network')[0] != DiagnosticStatus.ERROR
    printed, calls = node.end()
    name = 'rt.synchronize_stream_with_timeout' if function == 'execution' else function
    assert re.search(rf'acl\.{re.escape(name)} failed with 507011', printed)
    assert calls['mdl.load_from_file'] == 1


def test_while_calls_keep_failing_the_model_is_loaded_again_and_diagnostics_say_so(
    ascend_node, tmp_path
):
    broken = tmp_path / 'broken'
    node = ascend_node(broken=broken)
    robot = node.robot
    assert node.count_faces(1) == 1
    broken.touch()
    robot.publish_until(
        lambda: robot.status('network')[0] == DiagnosticStatus.ERROR, portrait, 'ERROR'
    )
    assert 'acl.rt.synchronize_stream_with_timeout failed' in robot.status('network')[1]
    broken.unlink()
    assert node.count_faces(3) == 3
    robot.until(lambda: robot.status('network')[0] == DiagnosticStatus.OK, 'OK again')
    _, calls = node.end()
    assert calls['mdl.load_from_file'] == calls['mdl.unload'] == 2


def test_after_an_interrupt_during_a_run_the_node_has_released_everything(ascend_node, gate):
    node = ascend_node(gate=gate.file)
    assert node.count_faces(1) == 1
    gate.close()
    node.robot.publish_until(lambda: gate.reached, portrait, 'the device runs')
    os.kill(node.process.pid, signal.SIGINT)
    gate.open()
    node.check_end(*node.process.wait())


def test_without_pyacl_the_node_ends_with_one_sentence():
    code, printed = refusal('-p', 'backend:=ascend')
    assert code == 1
    assert "backend 'ascend' needs the Python module acl of Huawei's CANN toolkit" in printed
    assert 'set_env.sh' in printed
    assert len(printed.strip().splitlines()) == 1
