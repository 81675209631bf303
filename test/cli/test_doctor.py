"""`blazeface doctor`, called as a user would; on an Ascend board: test_ascend.py."""

import json
import shutil
import subprocess
import sys

import pytest
from shared import ROOT

from blazeface_ros.cli.main import main
from blazeface_ros.models import catalogue


@pytest.fixture
def doctor(capsys):
    """Run it. Returns the exit code and the report."""

    def run():
        code = main(['doctor', '--json'])
        return code, json.loads(capsys.readouterr().out)

    return run


@pytest.mark.onnxruntime
@pytest.mark.litert
def test_it_tells_what_works_here_and_that_the_default_backend_finds_a_face(doctor):
    import onnxruntime

    code, report = doctor()
    assert code == 0
    assert report['package']['python'] == sys.version.split()[0]
    assert report['libraries']['onnxruntime'] == onnxruntime.__version__
    assert 'CPUExecutionProvider' in report['libraries']['providers']
    assert report['backends']['onnxruntime']['says'].startswith('ready: ONNX Runtime')
    assert report['backends']['litert']['says'].startswith('ready: LiteRT')
    assert set(report['models']) == set(catalogue.MODELS)
    assert all(model['ok'] for model in report['models'].values())


@pytest.mark.network
def test_for_people_it_is_aligned_lines_of_the_same(doctor, capsys):
    _, report = doctor()
    assert main(['doctor']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line and line[0] != ' '] == list(report)
    rows = [line for line in lines if line.startswith('  ')]
    assert len({len(line) - len(line[33:].lstrip()) for line in rows if line[32] == ' '}) == 1
    assert any(line.endswith(report['package']['folder']) for line in rows)


@pytest.mark.network
def test_what_is_missing_is_told_in_its_backends_own_sentence(doctor, monkeypatch):
    monkeypatch.setitem(sys.modules, 'acl', None)
    monkeypatch.setitem(sys.modules, 'torch', None)
    monkeypatch.setitem(sys.modules, 'ai_edge_litert.interpreter', None)
    code, report = doctor()
    assert code == 0
    assert 'set_env.sh' in report['backends']['ascend']['says']
    assert 'pip install torch' in report['backends']['torch']['says']
    assert 'pip install ai-edge-litert' in report['backends']['litert']['says']
    assert report['ascend']['acl'] is False
    assert report['libraries']['torch'] is None


def test_without_its_default_backend_the_machine_is_not_ready(doctor, monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    code, report = doctor()
    assert code == 1
    assert 'pip install onnxruntime' in report['backends']['onnxruntime']['says']
    assert report['libraries']['providers'] == []


def test_a_damaged_model_file_is_told_and_the_machine_is_not_ready(doctor, monkeypatch, tmp_path):
    shutil.copytree(ROOT / 'weights', tmp_path / 'weights')
    shutil.copy(ROOT / 'package.xml', tmp_path)
    with (tmp_path / 'weights' / 'blazeface_back.onnx').open('ab') as file:
        file.write(b'\0')
    monkeypatch.setattr(catalogue, '__file__', str(tmp_path / 'blazeface_ros' / 'catalogue.py'))
    code, report = doctor()
    assert code == 1
    assert report['models']['back']['ok'] is False
    assert 'blazeface_back.onnx' in report['models']['back']['says']
    assert report['models']['front']['ok'] is True


def test_settings_of_ros_are_told_and_whether_the_profile_is_there(doctor, monkeypatch, tmp_path):
    monkeypatch.setenv('ROS_DISTRO', 'jazzy')
    monkeypatch.setenv('RMW_IMPLEMENTATION', 'rmw_fastrtps_cpp')
    monkeypatch.setenv('FASTRTPS_DEFAULT_PROFILES_FILE', str(tmp_path / 'nowhere.xml'))
    _, report = doctor()
    assert report['ros']['ROS_DISTRO'] == 'jazzy'
    assert report['ros']['RMW_IMPLEMENTATION'] == 'rmw_fastrtps_cpp'
    assert report['ros']['FASTRTPS_DEFAULT_PROFILES_FILE exists'] is False


@pytest.mark.parametrize('variable', ['ASCEND_HOME_PATH', 'FASTRTPS_DEFAULT_PROFILES_FILE'])
@pytest.mark.parametrize('value', ['x' * 5000, '/dev/null/x'])
def test_strange_settings_of_the_machine_are_told(doctor, monkeypatch, capsys, variable, value):
    monkeypatch.setenv(variable, value)
    _, report = doctor()
    assert value in (report['ascend']['toolkit'], report['ros']['FASTRTPS_DEFAULT_PROFILES_FILE'])
    main(['doctor'])
    assert max(map(len, capsys.readouterr().out.splitlines())) < 500


def test_it_never_imports_ros():
    code = (
        'import sys; from blazeface_ros.cli.main import main; main(["doctor"]); '
        'print("rclpy" in sys.modules or "vision_msgs" in sys.modules)'
    )
    printed = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True
    )
    assert printed.stdout.splitlines()[-1] == 'False'
