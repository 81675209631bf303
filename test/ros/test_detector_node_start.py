"""How the detector's process starts and ends."""

import os
import subprocess
import sys
from signal import SIGINT, SIGTERM

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from ros_fixtures import (
    PORTRAIT,
    TIMEOUT,
    NodeProcess,
    detector_starter,
    image_message,
    refusal,
)

pytestmark = pytest.mark.ros


@pytest.fixture
def start():
    with detector_starter() as start:
        yield start


@pytest.mark.network
def test_the_module_starts_in_any_folder_and_needs_no_parameters(start, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    node, robot = start()
    assert len(robot.ask(image_message(PORTRAIT)).detections) == 1
    code, printed = node.interrupt()
    assert (code, 'Traceback' in printed) == (0, False), printed
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ('parameter', 'sentence'),
    [
        (
            'score_threshold:=2.0',
            "parameter 'score_threshold' is 2.0; it must be a number from 0.0 to 1.0",
        ),
        ('windows_per_frame:=4', "parameter 'windows_per_frame' is now called 'tiles_per_frame'"),
        ('device:=gpu9', "device 'gpu9' is unknown to backend 'onnxruntime'"),
        ('model:=/nowhere.onnx', "model '/nowhere.onnx' is neither a known name"),
        ('model:=~nosuchuser/x.onnx', "model '~nosuchuser/x.onnx'"),
        (f'model:={"x" * 5000}', "model 'xxx"),
        ('model:=/', "model '/' is neither a known name"),
        ('image_topics:=[a, b]', "parameter 'face_topics' is []; it must have a topic of its own"),
    ],
)
def test_a_wrong_parameter_ends_it_at_once_with_one_sentence(parameter, sentence):
    code, printed = refusal('-p', parameter)
    assert code == 1
    assert sentence in printed
    assert len(printed.strip().splitlines()) == 1


def test_one_camera_under_two_names_is_refused():
    code, printed = refusal('-r', 'b/image:=a/image', '-p', 'image_topics:=[a/image, b/image]')
    assert code == 1
    assert 'it must name each camera once' in printed


@pytest.mark.network
def test_whole_numbers_are_taken_for_numbers(start):
    _, robot = start('score_threshold:=1')
    assert robot.ask(image_message(PORTRAIT)).detections == []


@pytest.mark.network
def test_an_interrupt_ends_it_with_exit_code_0(start):
    node, robot = start()
    robot.ask(image_message(PORTRAIT))
    code, printed = node.interrupt()
    assert code == 0, printed
    assert 'Traceback' not in printed


@pytest.mark.network
@pytest.mark.parametrize('signals', [(SIGINT,), (SIGTERM,), (SIGINT, SIGTERM), (SIGTERM, SIGINT)])
def test_many_signals_end_it_with_exit_code_0_as_well(start, signals):
    node, robot = start()
    robot.ask(image_message(PORTRAIT))
    code, printed = node.send_signals(*signals)
    assert code == 0, printed
    assert 'Traceback' not in printed


@pytest.mark.parametrize('program', ['detector_node', 'media_publisher_node'])
def test_an_interrupt_while_it_still_imports_ends_it_with_exit_code_0(program, tmp_path):
    # Imported in place of the real one, this module tells that it is and waits for the interrupt.
    (tmp_path / 'cv2.py').write_text(
        'import os\n'
        "print('importing', flush=True)\n"
        'while not os.path.exists(__file__ + ".interrupted"): pass\n'
        'import sys, importlib\n'
        'sys.path.remove(os.path.dirname(__file__))\n'
        'del sys.modules["cv2"]\n'
        'sys.modules["cv2"] = importlib.import_module("cv2")\n'
    )
    with subprocess.Popen(
        [sys.executable, '-c', f'from blazeface_ros.ros import programs; programs.{program}()'],
        env={**os.environ, 'PYTHONPATH': f'{tmp_path}'},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == 'importing\n'
        process.send_signal(SIGINT)
        (tmp_path / 'cv2.py.interrupted').touch()
        out, errors = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, 'Traceback' in out + errors) == (0, False)


@pytest.mark.network
def test_an_interrupt_under_load_ends_it_with_exit_code_0(start):
    node, robot = start('smallest_face:=16', 'queue_size:=8')
    large = np.tile(PORTRAIT, (2, 4, 1))
    robot.ask(image_message(large))
    for _ in range(4):
        robot.camera().publish(image_message(large))
    code, printed = node.interrupt()
    assert code == 0, printed
    assert 'Traceback' not in printed
    assert 'lost' not in printed


def test_an_interrupt_while_it_waits_to_be_configured_ends_it_too(start):
    node, robot = start('autostart:=false')
    assert robot.state() == 'unconfigured'
    code, printed = node.interrupt()
    assert (code, printed) == (0, '')


@pytest.mark.parametrize('model', ['/nowhere.onnx', '~nosuchuser/x.onnx'])
def test_a_transition_that_fails_is_told_and_can_be_tried_again(start, model):
    node, robot = start('autostart:=false', f'model:={model}')
    for _ in range(2):
        assert not robot.change_state(Transition.TRANSITION_CONFIGURE)
        assert robot.state() == 'unconfigured'
    _, printed = node.interrupt()
    assert printed.count(f"model '{model}'") == 2
    assert 'Traceback' not in printed


@pytest.mark.parametrize(
    ('changes', 'arguments'),
    [
        ({'ROS_LOG_DIR': '/dev/null/logs'}, ()),
        ({'ROS_DOMAIN_ID': 'none'}, ()),
        ({'HOME': ''}, ()),
        ({}, ('-r', 'no rule')),
    ],
)
def test_what_ros_itself_refuses_is_told_in_one_line(changes, arguments):
    node = NodeProcess('detector_node', *arguments, environment={**os.environ, **changes})
    try:
        code, printed = node.wait()
    finally:
        node.kill()
    assert code == 1
    assert 'ROS 2 cannot start' in printed
    assert 'Traceback' not in printed
