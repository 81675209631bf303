"""The commands of `blazeface` on the double of acl."""

import json
import os
import re

import pytest
from ascend_support import FRONT, assert_clean, run_on_double
from shared import PICTURES, ROOT

from blazeface_ros.cli.main import main

pytest_plugins = ['ascend_fixtures']
pytestmark = pytest.mark.onnxruntime


def test_the_command_line_runs_om_files(om, tmp_path):
    report = tmp_path / 'report.json'
    file = om(aipp='bgr', half=True)
    command = ['detect', '--backend', 'ascend', '--model', file, '--json', PICTURES / 'scene.jpg']
    ended = run_on_double(report, *command, run_mode=0)
    assert len(json.loads(ended.stdout)['faces']) == 5
    assert_clean(report)


@pytest.mark.parametrize(
    'variant', [{}, {'half': True, 'swapped': True, 'aipp': 'bgr'}], ids=['float32', 'float16 AIPP']
)
@pytest.mark.parametrize('network', ['back', 'front'])
def test_parity_compares_an_om_file_with_the_shipped_network(om, tmp_path, network, variant):
    file = om(ROOT / 'weights' / f'blazeface_{network}.onnx', **variant)
    report = tmp_path / 'report.json'
    command = ['parity', '--om', file, '--model', network, PICTURES / 'astronaut.png']
    ended = run_on_double(report, *command, run_mode=0)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert 'none above the tolerance of 2e-02' in ended.stdout
    assert 'ascend - onnxruntime: 1 and 1 faces; up to ' in ended.stdout
    assert re.search(r'ascend - onnxruntime: [\d.]+ and [\d.]+ ms', ended.stdout)
    assert_clean(report)


def test_parity_refuses_another_network_and_a_tolerance_can_be_given(om, tmp_path):
    report = tmp_path / 'report.json'
    ended = run_on_double(report, 'parity', '--om', om(FRONT))
    assert ended.returncode == 2
    assert 'is not the network wanted (back:' in ended.stderr
    assert_clean(report)
    ended = run_on_double(report, 'parity', '--om', om(half=True), '--tolerance', '1e-4')
    assert ended.returncode == 1
    assert 'above the tolerance of 1e-04' in ended.stdout


def test_parity_without_pyacl_ends_with_one_sentence(om, capsys):
    assert main(['parity', '--om', str(om())]) == 2
    captured = capsys.readouterr()
    assert captured.out == ''
    assert 'source its set_env.sh' in captured.err


def test_the_doctor_reports_pyacl_cann_and_atc_and_initialises_nothing(tmp_path, monkeypatch):
    (tmp_path / 'aarch64-linux').mkdir()
    (tmp_path / 'aarch64-linux' / 'ascend_toolkit_install.info').write_text(
        'package_name=Ascend-cann-toolkit\nversion=8.0.RC1\ninnerversion=V100R001\n'
    )
    atc = tmp_path / 'atc'
    atc.touch(0o755)
    monkeypatch.setenv('ASCEND_TOOLKIT_HOME', str(tmp_path))
    monkeypatch.setenv('PATH', str(tmp_path), prepend=os.pathsep)
    report = tmp_path / 'report.json'
    ended = run_on_double(report, 'doctor', '--json')
    assert ended.returncode == 0
    found = json.loads(ended.stdout)
    assert found['ascend'] == {
        'acl': True,
        'soc': None,  # the name is not known before acl.init
        'toolkit': str(tmp_path),
        'cann': '8.0.RC1',
        'atc': str(atc),
    }
    assert 'convert the network with `blazeface convert' in found['backends']['ascend']['says']
    assert set(json.loads(report.read_text())['calls']) <= {'get_soc_name'}
