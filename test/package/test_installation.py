"""The package as colcon builds it, and its launch files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from blazeface_ros.ros import parameters


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
    """The prefix into which colcon installed the package."""
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


def test_the_share_folder_holds_launch_files_configuration_weights_and_pictures(installed):
    share = installed / 'share' / 'blazeface_ros'
    for folder in ('launch', 'config', 'weights', 'pictures'):
        expected = {file.name for file in (ROOT / folder).iterdir() if file.is_file()}
        assert {file.name for file in (share / folder).iterdir()} == expected
    for file in ('package.xml', 'LICENSE', 'NOTICE'):
        assert (share / file).read_bytes() == (ROOT / file).read_bytes()
    index = installed / 'share' / 'ament_index' / 'resource_index' / 'packages'
    assert (index / 'blazeface_ros').is_file()


def test_the_installed_package_finds_its_own_weights(installed, tmp_path):
    (packages,) = installed.glob('lib/python*/site-packages')
    code = 'from blazeface_ros.models.catalogue import find_model; print(find_model("back")[1])'
    found = subprocess.run(
        [sys.executable, '-c', code],
        env={**os.environ, 'PYTHONPATH': str(packages)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert found == str(installed / 'share' / 'blazeface_ros' / 'weights' / 'blazeface_back.onnx')


def test_ros2_run_finds_the_programs(installed):
    programs = {file.name for file in (installed / 'lib' / 'blazeface_ros').iterdir()}
    assert programs == {'blazeface', 'detector_node', 'media_publisher_node'}


def test_the_configuration_file_names_each_parameter_with_its_default():
    text = (ROOT / 'config' / 'detect.yaml').read_text()
    values = yaml.safe_load(text)['/**']['ros__parameters']
    # An empty list has no type in YAML: that one is told in a comment.
    assert values == {
        known.name: known.default for known in parameters.DETECTOR if known.name != 'face_topics'
    }
    assert '# face_topics: ' in text


@pytest.mark.parametrize('name', ['detect.launch.py', 'demo.launch.py'])
def test_launch_files_load_with_described_arguments(name, installed, monkeypatch):
    """Needs the official launch packages, which come with a ROS installation only."""
    pytest.importorskip('launch_ros', reason='the official launch packages are not installed')
    from launch.launch_description_sources import get_launch_description_from_python_launch_file

    prefixes = [str(installed), os.environ.get('AMENT_PREFIX_PATH', '')]
    monkeypatch.setenv('AMENT_PREFIX_PATH', os.pathsep.join(filter(None, prefixes)))
    file = installed / 'share' / 'blazeface_ros' / 'launch' / name
    description = get_launch_description_from_python_launch_file(str(file))
    arguments = {a.name: a.description for a in description.get_launch_arguments()}
    assert {'image_topic', 'namespace', 'params_file', 'log_level', 'model'} <= set(arguments)
    assert 'no description given' not in arguments.values()
