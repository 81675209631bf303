"""The programs of the nodes. Their imports take a second, in which an interrupt may come, too."""

from __future__ import annotations

import importlib
import sys

from blazeface_ros.ros.signals import catch_ending_signals


def detector_node() -> int:
    """Run the detector. Returns the exit code."""
    return _run('detector_node')


def media_publisher_node() -> int:
    """Run the publisher of pictures and videos. Returns the exit code."""
    return _run('media_publisher_node')


def _run(module: str) -> int:
    catch_ending_signals()
    try:
        program = importlib.import_module(f'blazeface_ros.ros.{module}')
    except ImportError as error:
        print(
            f"{module}: {error}: source a ROS 2 that has vision_msgs ('source "
            "/opt/ros/$ROS_DISTRO/setup.bash'), and install NumPy and OpenCV",
            file=sys.stderr,
        )
        return 1
    code: int = program.main()
    return code
