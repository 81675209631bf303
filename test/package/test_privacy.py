"""Nothing leaves the robot: no library of this package sends anything or leaves files behind.

The programs run where the kernel ends whoever opens a socket (test/support/without_sockets.py).
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys

import pytest
import without_sockets
from shared import PICTURES, ROOT

SCENE, FACES_IN_SCENE = str(PICTURES / 'scene.jpg'), 5
#: Loads the shipped weights and finds the faces of the scene. Then it keeps the network, as a node
#: does, until its input is closed.
DETECTOR = f"""
import sys, cv2
from blazeface_ros import FaceDetector
detector = FaceDetector(backend=sys.argv[1])
print(len(detector.detect(cv2.imread({SCENE!r}))), flush=True)
sys.stdin.read()
detector.close()
"""
#: Seconds to wait for the first socket of ONNX Runtime. Version 1.32 opens it after about 7.
TELEMETRY_TIMEOUT = 60
#: What a program needs of the environment. Other variables may move the files of a library out of
#: the home folder, or turn its telemetry off.
ENVIRONMENT = 'PATH', 'PYTHONPATH', 'LD_LIBRARY_PATH'


def start(home, *command, **variables):
    """Run Python without sockets and with an empty home folder; returns the process."""
    home.mkdir()
    kept = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    return subprocess.Popen(
        [sys.executable, without_sockets.__file__, sys.executable, *command],
        env={**kept, 'HOME': str(home), 'TMPDIR': str(home), **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    'statement',
    [
        'socket.socket()',
        'socket.getaddrinfo("example.invalid", 80)',
        'threading.Thread(target=socket.socket).start()',
    ],
)
def test_a_program_that_opens_a_socket_or_looks_up_a_name_is_caught(statement, tmp_path):
    process = start(tmp_path / 'home', '-c', f'import socket, threading; {statement}')
    process.communicate()
    assert process.returncode == -signal.SIGSYS


def test_only_the_function_that_turns_its_telemetry_off_imports_onnxruntime():
    statement = re.compile(r'(^\s*|")(import|from) onnxruntime\b|import_module\(.onnxruntime', re.M)
    folders = 'blazeface_ros', 'examples', 'launch', 'notebooks', 'tools'
    files = [file for folder in folders for file in (ROOT / folder).rglob('*') if file.is_file()]
    found = [file for file in files if statement.search(file.read_text(errors='replace'))]
    assert found == [ROOT / 'blazeface_ros' / 'backends' / 'onnx_runtime.py']


@pytest.mark.long
@pytest.mark.onnxruntime
@pytest.mark.parametrize(
    'backend',
    [
        'onnxruntime',
        pytest.param('litert', marks=pytest.mark.litert),
        pytest.param('torch', marks=pytest.mark.torch),
    ],
)
def test_a_backend_opens_no_socket_and_leaves_no_file(backend, tmp_path):
    ours = start(tmp_path / 'ours', '-c', DETECTOR, backend)
    assert int(ours.stdout.readline()) == FACES_IN_SCENE
    # A process that lets ONNX Runtime send is caught. It starts later than ours, and so ours has
    # had more time to do the same. With a version that sends nothing there is nothing to catch.
    control = start(tmp_path / 'control', '-c', DETECTOR, 'onnxruntime', ORT_DISABLE_TELEMETRY='0')
    with contextlib.suppress(subprocess.TimeoutExpired):
        control.wait(TELEMETRY_TIMEOUT)
    assert control.poll() in (-signal.SIGSYS, None)
    assert ours.poll() is None
    for process in (ours, control):
        process.communicate()
    assert ours.returncode == 0
    assert list((tmp_path / 'ours').iterdir()) == []


@pytest.mark.network
def test_the_command_opens_no_socket_and_leaves_no_file_but_what_it_was_asked_for(tmp_path):
    options = '--json', '--save', str(tmp_path / 'saved')
    command = start(tmp_path / 'home', '-m', 'blazeface_ros.cli.main', 'detect', SCENE, *options)
    printed, _ = command.communicate()
    assert command.returncode == 0
    assert len(json.loads(printed)['faces']) == FACES_IN_SCENE
    assert [file.name for file in (tmp_path / 'saved').iterdir()] == ['scene_faces.png']
    assert list((tmp_path / 'home').iterdir()) == []
