"""The package as colcon installs it."""

import os
import subprocess
import sys

import pytest
import yaml
from shared import ROOT

from blazeface_ros.core.settings import declarations
from blazeface_ros.ros import parameters

pytestmark = [pytest.mark.ros, pytest.mark.yaml]


def files_in(folder):
    """The paths of the files in a folder and below it, but not what Python caches."""
    files = (file for file in folder.rglob('*') if file.is_file())
    return {file.relative_to(folder) for file in files if file.suffix != '.pyc'}


def test_the_share_folder_holds_launch_files_configuration_weights_and_pictures(installed):
    share = installed / 'share' / 'blazeface_ros'
    for folder in ('launch', 'config', 'config/sros2', 'weights', 'pictures'):
        expected = files_in(ROOT / folder)
        assert len(expected) > 1
        assert files_in(share / folder) == expected
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
    declared = declarations(parameters.DetectorParameters)
    defaults = {name: declaration.default for name, declaration in declared.items()}
    # YAML has no type for an empty list, and so this parameter stands in a comment.
    assert defaults.pop('face_topics') == ()
    assert '# face_topics: ' in text
    assert values == {
        name: list(default) if isinstance(default, tuple) else default
        for name, default in defaults.items()
    }
