"""`blazeface convert`, called as a user would."""

import os

import onnx
import pytest
from shared import ROOT

from blazeface_ros.cli.main import main
from blazeface_ros.models.catalogue import MODELS, find_original

pytestmark = [pytest.mark.torch, pytest.mark.litert]


def test_all_steps_end_with_the_atc_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('PATH', '/usr/bin:/bin')
    original = find_original(MODELS['back'])
    assert main(['convert', 'all', str(original), '-o', str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert {file.name for file in tmp_path.iterdir()} == {
        'blazeface_back.pth',
        'blazeface_back.onnx',
        'blazeface_back_aipp_bgr.cfg',
    }
    assert printed.count('none above the tolerance of 1e-04') == 2
    assert printed.splitlines()[-1] == (
        f'atc --model={tmp_path}/blazeface_back.onnx --framework=5 '
        f'--output={tmp_path}/blazeface_back --soc_version=Ascend310B4 '
        '--precision_mode=allow_fp32_to_fp16 --input_shape=input:1,3,256,256 '
        f'--insert_op_conf={tmp_path}/blazeface_back_aipp_bgr.cfg'
    )
    shipped = (ROOT / 'weights' / 'blazeface_back.onnx').read_bytes()
    assert (tmp_path / 'blazeface_back.onnx').read_bytes() == shipped


def test_a_dry_run_prints_the_atc_command_and_writes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    before = sorted((ROOT / 'weights').iterdir())
    file = 'weights/blazeface_back.onnx'
    arguments = ['convert', 'onnx-to-om', file, '--soc-version', 'Ascend310', '--dry-run']
    assert main(arguments) == 0
    assert capsys.readouterr().out == (
        'atc --model=weights/blazeface_back.onnx --framework=5 --output=weights/blazeface_back '
        '--soc_version=Ascend310 --precision_mode=allow_fp32_to_fp16 '
        '--input_shape=input:1,3,256,256\n'
    )
    assert sorted((ROOT / 'weights').iterdir()) == before


STEPS = (
    ['tflite-to-torch'],
    ['torch-to-onnx'],
    ['onnx-to-om', '--soc-version', 'Ascend310B4'],
    ['all', '-o', 'out'],
)


@pytest.mark.parametrize('step', STEPS, ids=lambda step: step[0])
@pytest.mark.parametrize(
    ('name', 'reason'),
    [
        ('', 'is a folder'),
        ('/', 'is a folder'),
        ('missing', 'does not exist'),
        ('x' * 300, 'cannot be read: File name too long'),
        ('/dev/zero', 'is a folder, a device or a pipe'),
        ('caf\udce9', 'is not UTF-8; rename it'),
    ],
)
def test_what_is_no_model_file_is_refused_with_the_reason(
    tmp_path, monkeypatch, capsys, step, name, reason
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'caf\udce9').touch()
    assert main(['convert', *step, name]) == 2
    error = capsys.readouterr().err
    assert error.startswith('blazeface: model file ')
    assert reason in error
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    ('name', 'reason'),
    [
        ('', 'is a folder'),
        ('device', 'is a folder, a device or a pipe'),
        ('caf\udce9', 'is not UTF-8'),
        ('x' * 300, 'File name too long'),
        ('file/x', 'cannot be written'),
    ],
)
def test_an_output_that_cannot_be_a_file_is_refused_and_what_is_there_stays(
    tmp_path, monkeypatch, capsys, name, reason
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'file').touch()
    os.mkfifo(tmp_path / 'device')  # stands for all that a file must not replace
    original = str(find_original(MODELS['back']))
    assert main(['convert', 'tflite-to-torch', original, '-o', name]) == 2
    assert reason in capsys.readouterr().err
    assert sorted(file.name for file in tmp_path.iterdir()) == ['device', 'file']
    assert (tmp_path / 'device').is_fifo()


@pytest.mark.parametrize('batch', ['0', '-1', '1.5', '9' * 30, '9' * 5000, ''])
def test_a_batch_that_cannot_work_is_refused(capsys, batch):
    for step in ('torch-to-onnx', 'onnx-to-om'):
        with pytest.raises(SystemExit) as end:
            main(['convert', step, 'file', f'--batch={batch}'])
        assert end.value.code == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert 'is not a whole number from 1 to 10000' in error
        assert len(error) < 500


@pytest.fixture
def om_arguments(tmp_path):
    return [
        *('convert', 'onnx-to-om', str(ROOT / 'weights' / 'blazeface_back.onnx')),
        *('--soc-version', 'Ascend310B4', '-o', str(tmp_path / 'back.om')),
    ]


def test_without_atc_it_says_where_to_get_it_with_exit_code_3(
    om_arguments, capsys, monkeypatch, tmp_path
):
    monkeypatch.setenv('PATH', '/usr/bin:/bin')
    assert main([*om_arguments, '--aipp', 'rgb']) == 3
    assert 'it comes with the CANN toolkit' in capsys.readouterr().out
    text = (tmp_path / 'back_aipp_rgb.cfg').read_text()
    assert 'rbuv_swap_switch: false' in text
    assert 'src_image_size_w: 256' in text


@pytest.mark.parametrize(('code', 'expected'), [(0, 0), (1, 2)])
def test_atc_is_called_and_its_log_shown_if_it_fails(
    om_arguments, capsys, monkeypatch, tmp_path, code, expected
):
    atc = tmp_path / 'bin' / 'atc'
    atc.parent.mkdir()
    atc.write_text(f'#!/bin/sh\necho "E10016 of $1"\nexit {code}\n')
    atc.chmod(0o755)
    monkeypatch.setenv('PATH', f'{atc.parent}:/usr/bin:/bin')
    assert main(om_arguments) == expected
    printed = capsys.readouterr()
    assert ('E10016 of --model=' in printed.err) == bool(code)


def test_a_wrong_soc_version_is_refused_with_examples(om_arguments, capsys):
    om_arguments[om_arguments.index('Ascend310B4')] = '310B4'
    assert main(om_arguments) == 2
    assert "soc_version is '310B4'; it must be 'Ascend' and" in capsys.readouterr().err


def test_an_onnx_file_of_something_else_is_refused(om_arguments, capsys, tmp_path):
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ['N', 4])
        for name in ('input', 'output')
    ]
    node = onnx.helper.make_node('Relu', ['input'], ['output'])
    graph = onnx.helper.make_graph([node], 'relu', values[:1], values[1:])
    onnx.save(onnx.helper.make_model(graph), tmp_path / 'relu.onnx')
    om_arguments[2] = str(tmp_path / 'relu.onnx')
    assert main(om_arguments) == 2
    assert 'takes [0, 4] (0: free), but must take [N, 3, height, width]' in capsys.readouterr().err
