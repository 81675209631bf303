"""The tests that `make quick` selects need neither ROS nor PyTorch."""

import subprocess
import sys

import pytest
from shared import ROOT

# Where ROS and PyTorch are missing anyway, the quick tests themselves show this.
pytestmark = [pytest.mark.ros, pytest.mark.torch]

#: What the environment of `make quick` does not have.
MISSING = (
    *('rclpy', 'rcl_interfaces', 'builtin_interfaces', 'diagnostic_msgs', 'lifecycle_msgs'),
    *('sensor_msgs', 'std_msgs', 'std_srvs', 'vision_msgs', 'launch', 'launch_ros'),
    *('torch', 'onnx', 'nbformat', 'nbclient'),
)
PROGRAM = f"""
import sys
sys.modules.update(dict.fromkeys({MISSING}))  # a module that is None cannot be imported
import pytest
sys.exit(pytest.main(['--collect-only', '-q', '-m', 'not ros and not torch and not long']))
"""


def test_quick_tests_can_be_collected_without_ros_and_pytorch():
    done = subprocess.run(
        [sys.executable, '-c', PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:]
    for file in ('core/test_tracking.py', 'cli/test_detect.py', 'core/pipeline.py'):
        assert file in done.stdout
    assert 'test/ros/test_detector_node.py' not in done.stdout
