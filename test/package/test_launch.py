"""The launch files, in the official launch packages, which only a ROS installation has."""

import os

import pytest
from launch.launch_description_sources import get_launch_description_from_python_launch_file

pytestmark = [pytest.mark.ros, pytest.mark.launch]


@pytest.mark.parametrize('name', ['detect.launch.py', 'demo.launch.py'])
def test_launch_files_load_with_described_arguments(name, installed, monkeypatch):
    prefixes = [str(installed), os.environ.get('AMENT_PREFIX_PATH', '')]
    monkeypatch.setenv('AMENT_PREFIX_PATH', os.pathsep.join(filter(None, prefixes)))
    file = installed / 'share' / 'blazeface_ros' / 'launch' / name
    description = get_launch_description_from_python_launch_file(str(file))
    arguments = {a.name: a.description for a in description.get_launch_arguments()}
    assert {'image_topic', 'namespace', 'params_file', 'log_level', 'model'} <= set(arguments)
    assert 'no description given' not in arguments.values()
